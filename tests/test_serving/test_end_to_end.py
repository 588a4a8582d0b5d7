"""An invented country on disk, published by a real bundle: rebuilt lists, events, outcomes."""

import dataclasses
import hashlib
import io
import json
import shutil
import zipfile
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pydantic_core import to_json

from features.ingest import ingest
from features.warehouse import Warehouse
from serving.dealers.dossier import dossier
from serving.errors import UnknownDealerError
from serving.field.events.rescoring import rescore
from serving.field.outcomes.outcomes import collect
from serving.lists import issued
from serving.lists.files.contest_packet import packet
from serving.lists.verification import verify
from serving.runtime import Runtime
from serving.scores.champion import limits_of
from serving.scores.publish import publish
from serving.scores.snapshot import Snapshot
from serving.settings import Settings
from serving.store.tables import LISTS
from tests.test_serving.published_country import (
    AS_OF,
    N,
    country,  # noqa: F401 - a fixture
    write_country,
)


@pytest.fixture
def runtime(country, tmp_path):  # noqa: F811
    """A service over a copy of the country, which a test may change."""
    home = tmp_path / "home"
    shutil.copytree(country, home)
    url = f"sqlite:///{home / 'service.db'}"
    running = Runtime.open(Settings(home, url, home / "audit.key", refused_days=1_000_000))
    running.load()
    yield running
    running.close()


def test_publishing_again_gives_the_same_fingerprint(country):  # noqa: F811
    first = json.loads((country / "scored/000001/manifest.json").read_text())
    again = publish(Warehouse.open(country / "warehouse"), AS_OF, home=country)
    assert again.fingerprint == first["fingerprint"]
    assert again.n_dealers == N


@pytest.mark.parametrize(("trained_on", "is_said"), [(AS_OF, False), (date(2030, 1, 1), True)])
def test_scores_of_a_day_before_what_the_model_knows_say_so(runtime, trained_on, is_said):
    bundle = runtime.snapshot.bundle
    told = dataclasses.replace(
        bundle, manifest=bundle.manifest | {"trained_on": trained_on.isoformat()}
    )
    limits = limits_of(told, AS_OF)
    assert "Anything about anyone." in limits
    assert any("before 2030-01-01" in one for one in limits) == is_said


def test_a_list_is_rebuilt_from_the_warehouse_byte_for_byte(runtime, start):
    service = start(runtime)
    listed = service.post("/v1/rank", "chief", {"k": 25}).json()
    assert "Anything about anyone." in listed["disclaimers"]
    home = runtime.settings.home
    result = verify(runtime.store, listed["list_id"], home=home, warehouse=home / "warehouse")
    assert result.is_same
    assert all(result.checks.values())


def test_a_list_of_before_a_field_came_is_the_one_issued(runtime, start):
    """A later version adds to its rows; what was issued is rebuilt all the same."""
    listed = start(runtime).post("/v1/rank", "chief", {"k": 5}).json()
    home, list_id = runtime.settings.home, listed["list_id"]
    document = json.loads(issued.stored_bytes(runtime.store, list_id))

    def verified():
        content = to_json(document)
        row = {"document": content, "sha256": hashlib.sha256(content).hexdigest()}
        with runtime.store.write() as connection:
            connection.execute(LISTS.update().where(LISTS.c.list_id == list_id).values(row))
        return verify(runtime.store, list_id, home=home, warehouse=home / "warehouse")

    for row in document["rows"]:
        del row["as_of"], row["last_kind"]
    found = verified()
    assert found.is_same
    assert next(one for one in found.checks if "came with a later version" in one).endswith(
        ": rows.as_of, rows.last_kind"
    )
    del document["rows"][2]["note"]
    assert not verified().is_same


def test_a_list_whose_warehouse_changed_is_found_out(runtime, start, tmp_path):
    service = start(runtime)
    list_id = service.post("/v1/rank", "chief", {"k": 25}).json()["list_id"]
    home = runtime.settings.home
    write_country(tmp_path / "other", seed=4)
    ingest(tmp_path / "other", tmp_path / "other_warehouse", today=date(2026, 6, 1))
    result = verify(runtime.store, list_id, home=home, warehouse=tmp_path / "other_warehouse")
    assert not result.is_same


def test_the_table_scores_are_the_bundles(runtime):
    snapshot = runtime.snapshot
    names = [s["name"] for s in snapshot.bundle.signals]
    scores = snapshot.bundle.score(pd.DataFrame(snapshot.inputs, columns=names))
    assert np.array_equal(scores["priority"].to_numpy(), snapshot.columns["priority"])


def test_an_explanation_of_a_real_bundle_adds_up_and_names_its_records(runtime, start):
    service = start(runtime)
    who = runtime.snapshot.columns["dealer"][0]
    answer = service.post("/v1/explain", "analyst", {"dealer": who}).json()
    total = answer["base"] + sum(c["contribution"] for c in answer["contributions"])
    assert total == pytest.approx(answer["score"]["priority"], abs=1e-5)
    tables = {r["table"]: r["n_records"] for r in answer["records"]}
    assert tables["traces"] > 0


def test_a_dossier_tells_the_history(runtime, start):
    service = start(runtime)
    who = runtime.snapshot.columns["dealer"][0]
    answer = service.get(f"/v1/dealers/{who}", "analyst")
    assert answer.status_code == 200
    told = answer.json()
    assert told["traces"]["n_traces"] == sum(e["table"] == "traces" for e in told["timeline"])
    assert {e["table"] for e in told["timeline"]} >= {"licenses", "traces"}
    assert [r["relation"] for r in told["related"]] == ["same licensee"]
    days = [entry["on"] for entry in told["timeline"]]
    assert days == sorted(days, reverse=True)


def test_an_event_changes_the_score_and_equals_the_batch(runtime, start):
    service = start(runtime)
    who = str(runtime.snapshot.columns["dealer"][5])
    before = runtime.snapshot.inputs[5].copy()
    rows = [
        {
            "trace_id": f"NEW{i}",
            "requested_on": "2026-01-02",
            "completed_on": "2026-01-05",
            "recovered_on": "2026-01-01",
            "recovery_country": "MX",
            "requester": "police",
            "dealer": who,
            "sold_on": "2025-12-20",
            "firearm_type": "rifle",
            "serial_status": "legible",
            "outcome": "purchaser",
            "known_on": "2026-01-05",
        }
        for i in range(5)
    ]
    answer = service.post("/v1/events", "scheduler", {"table": "traces", "rows": rows})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["n_stored"], told["pending"], told["rejected"]) == (5, [who], [])
    assert told["n_referrals"] == 5  # sold and recovered in Mexico within weeks
    assert runtime.wait_for_events(120)
    snapshot = runtime.snapshot
    row = snapshot.row_of[who]
    assert not np.array_equal(snapshot.inputs[row], before, equal_nan=True)
    home = runtime.settings.home
    publish(Warehouse.open(home / "warehouse"), date(2026, 1, 6), home=home)
    batch = Snapshot.load(home)
    other = batch.row_of[who]
    assert np.array_equal(snapshot.inputs[row], batch.inputs[other], equal_nan=True)
    for name in ("compliance", "diversion", "priority"):
        assert snapshot.columns[name][row] == pytest.approx(batch.columns[name][other], rel=1e-12)
    again = service.post("/v1/events", "scheduler", {"table": "traces", "rows": rows}).json()
    assert (again["n_stored"], again["n_known"], again["n_referrals"]) == (0, 5, 0)
    queue = service.get("/v1/referrals", "chief").json()
    assert {r["pattern"] for r in queue["referrals"]} == {"fast_recovery"}


def test_a_new_table_takes_over_without_a_restart(runtime):
    home = runtime.settings.home
    runtime.start()
    publish(Warehouse.open(home / "warehouse"), date(2025, 12, 20), home=home)
    deadline = datetime.now(UTC) + timedelta(seconds=60)
    while runtime.snapshot.as_of == AS_OF and datetime.now(UTC) < deadline:
        pass
    assert runtime.snapshot.as_of == date(2025, 12, 20)


def test_an_outcome_closes_the_gate_at_once_and_becomes_a_label(runtime, start):
    service = start(runtime)
    listed = service.post("/v1/rank", "chief", {"k": 5, "random_share": 0}).json()["rows"]
    who = listed[0]["dealer"]
    body = {
        "inspection_id": "NEW-1",
        "dealer": who,
        "opened_on": "2026-02-01",
        "closed_on": "2026-02-10",
        "outcome": "warning_conference",
        "hours": 12.5,
        "violations": [{"citation": "478.124(c)(1)", "instances": 3, "is_willful": False}],
    }
    answer = service.post("/v1/outcomes", "chief", body)
    assert answer.status_code == 200
    assert answer.json()["eligible_on"] == "2027-02-10"
    assert answer.json()["is_label"]
    again = service.post("/v1/rank", "chief", {"k": 5, "random_share": 0}).json()["rows"]
    assert who not in {row["dealer"] for row in again}
    second = body | {"inspection_id": "NEW-2", "opened_on": "2026-05-01", "closed_on": "2026-05-02"}
    refused = service.post("/v1/outcomes", "chief", second)
    assert refused.status_code == 409
    basis = service.post("/v1/outcomes", "chief", second | {"legal_basis": "warrant"})
    assert basis.status_code == 200
    home = runtime.settings.home
    assert collect(runtime.store, home / "warehouse", today=datetime.now(UTC).date()) == 2
    assert collect(runtime.store, home / "warehouse", today=datetime.now(UTC).date()) == 0
    stored = Warehouse.open(home / "warehouse").read("inspections").to_pandas()
    kept = stored.set_index("inspection_id").loc["NEW-1"]
    assert (kept["outcome"], kept["hours"]) == ("warning_conference", 12.5)
    cited = Warehouse.open(home / "warehouse").read("violations").to_pandas()
    assert cited.set_index("inspection_id").loc["NEW-1", "citation"] == "478.124(c)(1)"


def test_an_open_inspection_is_no_label_and_a_correction_is_a_new_version(runtime, start):
    service = start(runtime)
    row = int(np.flatnonzero(np.isnat(runtime.snapshot.columns["eligible_on"]))[0])
    who = str(runtime.snapshot.columns["dealer"][row])
    body = {
        "inspection_id": "OPEN-1", "dealer": who, "opened_on": "2026-03-01", "outcome": "none"
    }  # fmt: skip
    first = service.post("/v1/outcomes", "chief", body).json()
    assert not first["is_label"]
    assert service.post("/v1/outcomes", "chief", body).json() == first
    home = runtime.settings.home
    assert collect(runtime.store, home / "warehouse", today=datetime.now(UTC).date()) == 0
    closed = body | {"closed_on": "2026-03-09", "outcome": "report"}
    second = service.post("/v1/outcomes", "chief", closed).json()
    assert (second["version"], second["is_label"]) == (2, True)
    other = str(runtime.snapshot.columns["dealer"][0])
    stolen = service.post("/v1/outcomes", "chief", closed | {"dealer": other})
    assert stolen.status_code == 409


def test_a_dealer_that_is_not_listed_is_not_rescored(runtime):
    home = runtime.settings.home
    assert rescore(runtime.snapshot, ["1-11-99999"], AS_OF, home / "warehouse") is None


def test_a_published_file_that_was_changed_is_refused(country, tmp_path):  # noqa: F811
    import shutil

    from serving.errors import NotReadyError

    home = tmp_path / "home"
    shutil.copytree(country, home)
    path = home / "scored/000001/scored.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(NotReadyError, match=r"scored\.parquet"):
        Snapshot.load(home, "000001")


def test_a_packet_keeps_the_restricted_part_apart(runtime, start):
    service = start(runtime)
    listed = service.post("/v1/rank", "chief", {"k": 5, "random_share": 0}).json()
    who, list_id = listed["rows"][0]["dealer"], listed["list_id"]
    home = runtime.settings.home

    document = service.get(f"/v1/lists/{list_id}", "chief").json()

    def made() -> bytes:
        return packet(
            runtime.store, home, document=document, dealer=who, warehouse=home / "warehouse"
        )

    content = made()
    assert content == made()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files["public/model_card.md"].startswith("# Invented")
    public = "".join(text for name, text in files.items() if name.startswith("public/"))
    restricted = [
        r["sentence"] for r in listed["rows"][0]["reasons"] if r["restriction"] != "public"
    ]
    assert restricted
    assert not any(sentence in public for sentence in restricted)
    assert all(sentence in files["restricted/entry.json"] for sentence in restricted)
    assert "purchaser_token" not in files["restricted/records.json"]
    reasons = json.loads(files["restricted/reasons.json"])
    held = {row["trace_id"] for row in json.loads(files["restricted/records.json"])["traces"]}
    assert any(one["records"] for one in reasons)
    for one in (r for reason in reasons for r in reason["records"]):
        assert one["n_records"] == len(one["ids"])
        assert one["table"] != "traces" or set(one["ids"]) <= held
    audit = json.loads(files["restricted/audit.json"])
    assert [record["subject"] for record in audit] == [who, list_id]
    with pytest.raises(UnknownDealerError):
        packet(
            runtime.store, home, document=listed, dealer="1-11-11111", warehouse=home / "warehouse"
        )


def test_the_public_part_of_a_packet_gives_away_no_score_seed_name_or_note(service, tmp_path):
    """Whatever the first reasons rest on, and whatever a list holds beside its contract."""
    listed = service.post("/v1/rank", "chief", {"k": 6, "random_share": 0}).json()
    row = listed["rows"][0] | {"note": "a tip; legal basis: warrant", "added_later": "secret"}
    row["reasons"] = [one | {"restriction": "public"} for one in row["reasons"]]
    scores = {"heads", "priority", "percentile", "national_rank", "support", "change"}

    def parts(restriction):
        basis = listed["basis"] | {"restriction": restriction}
        document = listed | {"rows": [row], "basis": basis, "added_later": "secret"}
        content = packet(
            service.runtime.store, tmp_path, document=document, dealer=row["dealer"],
            warehouse=tmp_path / "none",
        )  # fmt: skip
        with zipfile.ZipFile(io.BytesIO(content)) as files:
            return [json.loads(files.read(f"public/{name}.json")) for name in ("list", "entry")]

    facts, entry = parts("restricted")
    assert not scores & entry.keys()
    assert not {"random_seed", "note", "owner", "role", "purpose"} & (
        facts.keys() | facts["design"].keys() | entry.keys()
    )
    for word in (str(listed["design"]["random_seed"]), "chief", "warrant", "secret"):
        assert word not in json.dumps([facts, entry])
    assert entry["why"] == row["why"]
    assert facts["list_id"] == listed["list_id"]
    assert scores <= parts("public")[1].keys()


def test_the_dossier_reads_nothing_from_the_future(runtime):
    from serving.runtime import Principal

    scope = runtime.scope(Principal("chief", "supervisor", frozenset({"nation"})))
    told = dossier(scope, 0, runtime.settings.home / "warehouse", lists=[])
    assert all(entry["on"] < AS_OF for entry in told["timeline"])
