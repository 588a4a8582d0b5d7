"""What the trial commands do."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import typer

from features.domain import agency_day
from features.domain.number_words import counted
from features.home import home, write_atomically
from features.warehouse import Warehouse
from serving.commands.store_access import recorded
from serving.errors import InvalidRequestError
from serving.scores.champion import policy_in_force
from serving.trials import assignments, averts, planning, reading
from serving.trials.averts_frames import frames
from serving.trials.planning import Asked
from serving.trials.protocol import protocol_page
from serving.trials.reading import Reading
from serving.trials.visits import independent_visits


def plan_trial(
    asked: Asked,
    *,
    lists: tuple[Path | None, Path | None, date | None],
    periods: tuple[int, int, int],
    offices: Sequence[str],
    warehouse: Path | None,
    as_json: bool,
) -> None:
    """Plan a trial, keep it with the audit and write its protocol."""
    store = Warehouse.open(warehouse or home() / "warehouse")
    rule = policy_in_force(home()).severe_finding
    today = agency_day.today()
    visits = independent_visits(store, known_before=today, rule=rule)
    list_a, list_b, ends_on = lists
    if list_a is None and list_b is None:
        months, pairs, looks = periods
        trial = planning.by_office_and_period(
            asked,
            visits,
            offices=offices or visits["office"].dropna().unique().tolist(),
            months=months,
            n_pairs=pairs,
            n_looks=looks,
        )
    elif list_a is None or list_b is None or ends_on is None:
        raise InvalidRequestError(
            "An interleaved trial needs two lists and its last day.",
            expected="--list-a, --list-b and --ends-on",
        )
    else:
        trial = planning.interleaved(
            asked, visits, list_a=_dealers(list_a), list_b=_dealers(list_b), ends_on=ends_on
        )
    trial = replace(trial, severe=rule)
    with recorded() as (opened, ledger):
        path = assignments.keep(opened, ledger, home(), trial)
    page = path.with_suffix(".html")
    write_atomically(page, protocol_page(trial).encode())
    if as_json:
        typer.echo(json.dumps(asdict(trial), indent=1, default=str))
        return
    power = trial.power
    typer.echo(
        f"Trial {trial.trial_id}: a difference of {power.difference:.1%} is seen with a chance of "
        f"{power.power:.0%}; {power.detectable:.1%} would be with 80%."
    )
    typer.echo(f"Assignment: {path}\nProtocol to sign: {page}")


def read_trial(name: str, *, today: date, warehouse: Path | None, as_json: bool) -> None:
    """Read a trial and record that it was read."""
    store = Warehouse.open(warehouse or home() / "warehouse")
    with recorded() as (opened, ledger):
        trial = assignments.read(opened, home(), name)
        # A look is read as the records stood on its day, whenever and how often it is asked for.
        look = trial.look(today)
        day = today if look is None else look.on
        visits = independent_visits(store, known_before=day, rule=trial.rule)
        found = reading.read(trial, visits, today=today)
        with opened.write() as connection:
            which = "before the first look" if look is None else str(look.on)
            ledger.add(connection, "trial_read", f"{name} {which}")
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1, default=str))
        return
    typer.echo(in_words(trial, found))


def in_words(trial: assignments.Trial, found: Reading) -> str:
    """Say what a reading found."""
    when = "" if found.look is None else f" as of {found.look.on}"
    are = ("visit is", "visits are") if found.look is None else ("visit was", "visits were")
    tail = f" {counted(found.n_open, *are)} still open{when}." if found.n_open else ""
    if trial.kind == "interleaved" and found.n_unvisited:
        tail += (
            f" {counted(found.n_unvisited, 'drawn place was', 'drawn places were')} not visited."
        )
    if found.difference is None:
        return (
            f"Trial {trial.trial_id} is not to be read before {trial.looks[0].on}: nothing is "
            f"compared.{tail}"
        )
    d = found.difference
    clear = "excludes" if d.low > 0 or d.high < 0 else "does not exclude"
    stop = "It may be stopped, as planned." if clear == "excludes" else "The trial goes on."
    stop = "This is the last reading." if found.is_final else stop
    if trial.kind == "interleaved":
        return (
            f"Trial {trial.trial_id}: of the places that only one list has, {trial.arm_a} found "
            f"{d.rate_a:.3f} and {trial.arm_b} {d.rate_b:.3f} severe findings a drawn place, "
            f"visited or not ({d.n_a} and {d.n_b}). Such places are {trial.share:.0%} of a list, "
            f"so whole lists differ by {d.value:+.3f} a place ({d.low:+.3f} to {d.high:+.3f}, "
            f"{d.level:.2%} interval), which {clear} no difference. {stop}{tail}"
        )
    return (
        f"Trial {trial.trial_id}: {trial.arm_a} {d.rate_a:.3f}, {trial.arm_b} {d.rate_b:.3f} "
        f"severe findings a visit ({d.n_a} and {d.n_b}); difference {d.value:+.3f} ({d.low:+.3f} "
        f"to {d.high:+.3f}, {d.level:.2%} interval), which {clear} no difference. {stop}{tail}"
    )


def estimate_averted(*, today: date, warehouse: Path | None, as_json: bool) -> None:
    """Compare drawn dealers with those that could have been drawn, and record that it was done."""
    store = Warehouse.open(warehouse or home() / "warehouse")
    with recorded() as (opened, ledger):
        found = list(frames(opened, home(), today=today))
        effect = averts.averted(
            [(averts.later_traces(store, one, today=today), one.is_drawn) for one in found]
        )
        with opened.write() as connection:
            ledger.add(connection, "trial_averts", f"{len(found)} lists")
    said = effect is not None and effect.can_be_said
    if as_json:
        document = {
            "n_lists": len(found), "can_be_said": said,
            "averted": asdict(effect) if effect is not None and said else None,
            "n_drawn": 0 if effect is None else effect.n_drawn,
        }  # fmt: skip
        typer.echo(json.dumps(document, indent=1))
        return
    typer.echo(averted_in_words(effect, n_lists=len(found)))


def averted_in_words(effect: averts.Averted | None, *, n_lists: int) -> str:
    """Say what an inspection averts, or that it cannot be said."""
    if effect is None or not effect.can_be_said:
        n = 0 if effect is None else effect.n_drawn
        drawn = counted(n, "dealer was", "dealers were")
        return (
            f"What an inspection averts cannot be said: {drawn} drawn by "
            f"{counted(n_lists, 'list')} old enough, too few to tell an effect from none."
        )
    what = "fewer" if effect.value < 0 else "more"
    return (
        f"Drawn dealers had {abs(effect.value):.2f} ({-effect.high:+.2f} to {-effect.low:+.2f}) "
        f"{what} firearms traced soon in the two years after than the {effect.mean_others:.2f} of "
        f"others that could have been drawn ({effect.n_drawn} and {effect.n_others} dealers)."
    )


def _dealers(path: Path) -> list[str]:
    """Read the dealers of a list, best first; lines that begin with # are remarks."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"The list {path} cannot be read.", found=type(error).__name__
        ) from error
    lines = [line for line in text.splitlines() if not line.lstrip('"').startswith("#")]
    rows = csv.DictReader(lines)
    if "dealer" not in (rows.fieldnames or ()):
        raise InvalidRequestError(
            f"The list {path} has no column dealer.",
            found=", ".join(rows.fieldnames or ()),
            fix="write it with: ffl-risk rank --csv",
        )
    return [row["dealer"] for row in rows]
