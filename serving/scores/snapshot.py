"""The published scores in memory.

A `Snapshot` is immutable: a new table, a rescored dealer or an outcome makes another one. What one
caller may see of it is in `serving.scores.visible_dealers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic_core import to_json

from features.arrays import Flags, Ints
from features.domain import license_number
from features.domain.asof import from_numpy
from features.domain.office_names import is_any_of
from features.errors import FeatureError
from serving import clock, statements
from serving.errors import NotReadyError, StaleTableError
from serving.scores.champion import load_champion
from serving.scores.table.loaded_table import N_REASONS, ScoredTable, load_scored
from serving.scores.table.places import Places
from serving.scores.table.replaced_rows import ReplacedRows
from serving.scores.words.peers import Peers
from serving.scores.words.reason_sentences import Sentences

if TYPE_CHECKING:
    from features.table import FeatureTable
    from models.bundle.bundle import Bundle
    from serving.contract.records.scores import (
        BasisRecord,
        ScoresDocument,
    )


@dataclass(frozen=True)
class Ages:
    """When records are said to be old, and when nothing is listed or planned by them any more."""

    stale_days: int = 45
    refused_days: int = 365


@dataclass(frozen=True)
class Snapshot:
    """One scored table with its bundle, as arrays by column.

    Parameters
    ----------
    table : ScoredTable
        As published; its holds and manifest are used as they are.
    bundle : Bundle
        The bundle that scored it.
    columns : mapping of str to array, each of shape (n,)
        The scored columns, current: rescored dealers have their new values.
    inputs : rows of float32, shape (n, p)
        The signals.
    missing : rows of int8, shape (n, p)
        Why a value is missing: 0 observed.
    places : Places
        Its place columns as codes, and the turns of its dealers.
    ages : Ages
        From which age on the table says so, and is refused for lists and plans.
    """

    table: ScoredTable
    bundle: Bundle
    columns: Mapping[str, npt.NDArray[Any]]
    inputs: ReplacedRows
    missing: ReplacedRows
    row_of: Mapping[str, int]
    places: Places
    overlay: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ages: Ages = Ages()

    @classmethod
    def load(cls, home: Path, name: str | None = None) -> Snapshot:
        """Read the table in force and the bundle that it was scored with."""
        table = load_scored(home, name)
        # Slow to import, and not needed to say that nothing is published.
        from features.table import FeatureTable

        try:
            _, bundle = load_champion(home, str(table.manifest["champion"]))
            snapshot = cls.of(table, bundle, FeatureTable.load(table.folder / "features"))
            # A table without what sentences are made from was written by another version.
            _ = snapshot.sentences
            return snapshot
        except (KeyError, TypeError, FeatureError) as error:
            raise NotReadyError(
                f"Scored table {table.name} was written by another version.",
                found=type(error).__name__,
                fix="publish again: ffl-risk score --as-of YYYY-MM-DD",
            ) from error

    @classmethod
    def of(cls, table: ScoredTable, bundle: Bundle, features: FeatureTable) -> Snapshot:
        """Arrange a scored table, its bundle and its signals."""
        signals = [signal["name"] for signal in bundle.signals]
        columns: dict[str, npt.NDArray[Any]] = {}
        for frame in (table.scored, table.reasons):
            for name in frame.columns:
                is_plain = frame[name].dtype.kind in "iufbM"
                columns[name] = frame[name].to_numpy(dtype=None if is_plain else object)
        # A table published before kinds were in it does not know them.
        columns.setdefault("last_kind", np.full(len(table.scored), "", dtype=object))
        return cls(
            table=table,
            bundle=bundle,
            columns=columns,
            inputs=ReplacedRows(features.X[signals].to_numpy(dtype=np.float32)),
            missing=ReplacedRows(features.reasons[signals].to_numpy(dtype=np.int8)),
            row_of={dealer: i for i, dealer in enumerate(columns["dealer"])},
            places=Places(columns),
        )

    @cached_property
    def strongest(self) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """The signal and the contribution of each row's first, second, ... reason."""
        return [
            (self.columns[f"signal_{k}"], self.columns[f"contribution_{k}"])
            for k in range(N_REASONS)
            if f"signal_{k}" in self.columns
        ]

    @cached_property
    def sentences(self) -> Sentences:
        """What writes the reasons."""
        return Sentences(self.bundle.signals, Peers(self.table.peers))

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the heads."""
        return self.table.heads

    @property
    def disclaimers(self) -> list[str]:
        """What rides on every answer made from this table today."""
        return self.disclaimers_on(today())

    def disclaimers_on(self, when: date) -> list[str]:
        """Return what rides on every answer made from this table on a day."""
        return list(self._said_on(when)[1])

    def _said_on(self, when: date) -> tuple[BasisRecord, list[str]]:
        """Return the basis and the disclaimers of a day, put together once for all answers."""
        if when not in self._said:
            self._said[when] = self._basis(when), self._disclaimers(when)
        return self._said[when]

    @cached_property
    def _said(self) -> dict[date, tuple[BasisRecord, list[str]]]:
        return {}

    def frame_on(self, when: date) -> tuple[bytes, bytes]:
        """Return what stands before and after the scores in the JSON of an answer of a day."""
        if (frame := self._frames.get(when)) is None:
            basis, said = self._said_on(when)
            document: ScoresDocument = {"basis": basis, "scores": [], "disclaimers": said}
            before, _, after = to_json(document).partition(b'"scores":[]')
            frame = self._frames[when] = before + b'"scores":[', b"]" + after
        return frame

    @cached_property
    def _frames(self) -> dict[date, tuple[bytes, bytes]]:
        return {}

    def _disclaimers(self, when: date) -> list[str]:
        limits = self.table.manifest.get("limits", ())
        judged = self.judged
        said = [
            *([judged] if judged else []),
            *statements.disclaimers(self.restriction, limits),
            statements.INTERVALS,
        ]
        if not self.is_stale(when):
            return said
        return [statements.old_records(self.records_to, self.age_days(when)), *said]

    @property
    def judged(self) -> str:
        """What gates could not say of the bundle; empty where they said all, or none is kept."""
        return statements.judged_sentence(self.table.manifest.get("judged"))

    @cached_property
    def as_of(self) -> date:
        """The day before which every fact was known."""
        return date.fromisoformat(str(self.table.manifest["as_of"]))

    @cached_property
    def records_to(self) -> date:
        """The day to which the records reach, as the warehouse told when it was published.

        A table that only followed events to a later day is no younger for it.
        """
        return date.fromisoformat(str(self.table.manifest.get("records_to", self.as_of)))

    @property
    def follows_to(self) -> date:
        """The last day that events alone may move all dealers to.

        Beyond it their own records are old: what is known of them would be aged out by one event
        about another.
        """
        return self.records_to + timedelta(days=self.ages.stale_days)

    def as_of_row(self, row: int) -> date:
        """Return the day before which all that a row was scored by was known.

        Later than the table's after an event that the table did not follow.
        """
        return max(self.as_of, from_numpy(self.columns["as_of"][row]) or self.as_of)

    def age_days(self, when: date) -> int:
        """Return how old the records are on a day."""
        return max(0, (when - self.records_to).days)

    def is_stale(self, when: date) -> bool:
        """Whether the records are so old on a day that every answer says so."""
        return self.age_days(when) > self.ages.stale_days

    def check_age(self, when: date) -> None:
        """Refuse to send anybody anywhere by records that are too old.

        Raises
        ------
        StaleTableError
            When they are.
        """
        if self.age_days(when) > self.ages.refused_days:
            raise StaleTableError(
                "The records are too old to say who may be visited.",
                found=f"records to {self.records_to}, {self.age_days(when):,} days ago",
                expected=f"at most {self.ages.refused_days:,} days: an inspection since then "
                "would not be known",
                fix="ingest newer records and publish: ffl-risk score",
            )

    @property
    def restriction(self) -> str:
        """``public`` or ``restricted``."""
        return str(self.table.manifest["restriction"])

    @property
    def basis(self) -> BasisRecord:
        """What every answer of today says it was made from."""
        return self.basis_on(today())

    def basis_on(self, when: date) -> BasisRecord:
        """Return what every answer of a day says it was made from."""
        return self._said_on(when)[0].copy()

    def _basis(self, when: date) -> BasisRecord:
        manifest = self.table.manifest
        return {
            "as_of": manifest["as_of"],
            "bundle": manifest["bundle"],
            "bundle_sha256": manifest["bundle_sha256"],
            "scored": self.table.name,
            "fingerprint": manifest["fingerprint"],
            "restriction": manifest["restriction"],
            "records_to": self.records_to.isoformat(),
            "age_days": self.age_days(when),
            "is_stale": self.is_stale(when),
        }

    def codes(self, name: str) -> tuple[Ints, npt.NDArray[np.object_]]:
        """Return a place column as integer codes and the names they stand for."""
        return self.places.codes(name)

    def where(self, name: str, wanted: Iterable[str]) -> Flags:
        """Return the rows whose place column is one of `wanted`, shape (n,)."""
        codes, names = self.codes(name)
        kept = np.flatnonzero(is_any_of(names, wanted))
        mask: Flags = np.isin(codes, kept)
        return mask

    def spelling(self, name: str, asked: str) -> str:
        """Return a value of a place column as the table writes it; else as it was asked for."""
        names = self.codes(name)[1]
        found = np.flatnonzero(is_any_of(names, [asked]))
        return str(names[found[0]]) if len(found) else asked

    def row(self, asked: str) -> int | None:
        """Return the row of a dealer key or a license number, in any spelling."""
        found = self.row_of.get(asked)
        if found is not None:
            return found
        key = license_number.dealer_key(asked)
        return None if key is None else self.row_of.get(key)

    def changed(self, rows: Ints, **values: npt.NDArray[Any]) -> Snapshot:
        """Return a snapshot in which some columns of some rows have other values.

        The overlay remembers them, so that a list issued from it can be rebuilt.
        """
        columns = dict(self.columns)
        overlay = {dealer: dict(fields) for dealer, fields in self.overlay.items()}
        for name, new in values.items():
            columns[name] = columns[name].copy()
            columns[name][rows] = new
            for row, value in zip(rows.tolist(), columns[name][rows], strict=True):
                overlay.setdefault(columns["dealer"][row], {})[name] = _plain(value)
        return replace(self, columns=columns, overlay=overlay)

    def with_inputs(
        self, rows: Ints, inputs: npt.NDArray[np.float32], missing: npt.NDArray[np.int8]
    ) -> Snapshot:
        """Return a snapshot in which some rows have other signals."""
        all_inputs = self.inputs.replaced(rows, inputs)
        all_missing = self.missing.replaced(rows, missing)
        overlay = {dealer: dict(fields) for dealer, fields in self.overlay.items()}
        for row in rows.tolist():
            fields = overlay.setdefault(self.columns["dealer"][row], {})
            fields["inputs"] = [None if np.isnan(v) else float(v) for v in all_inputs[row]]
            fields["missing"] = all_missing[row].tolist()
        return replace(self, inputs=all_inputs, missing=all_missing, overlay=overlay)

    def overlaid(self, overlay: Mapping[str, Mapping[str, Any]]) -> Snapshot:
        """Return the snapshot with the changes that an overlay remembers."""
        snapshot = self
        for dealer, fields in overlay.items():
            row = np.array([self.row_of[dealer]], dtype=np.int64)
            if "inputs" in fields:
                inputs = np.array([fields["inputs"]], dtype=np.float32)
                missing = np.array([fields["missing"]], dtype=np.int8)
                snapshot = snapshot.with_inputs(row, inputs, missing)
            values = {
                name: np.array([value]).astype(self.columns[name].dtype)
                for name, value in fields.items()
                if name in self.columns
            }
            snapshot = snapshot.changed(row, **values)
        return snapshot


def _plain(value: Any) -> Any:
    """Return a value of an array as JSON has it."""
    if isinstance(value, np.datetime64):
        when = from_numpy(value)
        return when.isoformat() if when else None
    return value.item() if isinstance(value, np.generic) else value


def today() -> date:
    """Return the day by which ages are reckoned."""
    return clock.today()
