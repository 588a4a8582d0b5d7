"""The first lines of a field packet: where, and what bars a visit."""

from __future__ import annotations

import pytest

from serving.access.accounts import Principal
from serving.dealers import field_packet
from serving.dealers.dossier import dossier


@pytest.mark.parametrize("street", ["", "1 Main St"])
def test_a_packet_says_the_address_and_what_bars_a_visit(service, monkeypatch, street):
    runtime = service.runtime
    scope = runtime.scope(Principal("chief", "supervisor", frozenset({"nation"})))
    document = dossier(scope, 0, runtime.settings.home / "warehouse", lists=[])
    score = {**document["score"], "is_eligible": False, "eligible_on": "2026-09-01"}
    document = {**document, "score": score, "street": street, "city": "El Paso", "state": "TX",
                "zip": "79901"}  # fmt: skip
    monkeypatch.setattr(field_packet, "pdf", lambda _, content, **__: content)
    lines = field_packet.field_packet(document, name="A", picture="", way="", traces=[])["lines"]
    assert lines[0] == ("1 Main St, El Paso, TX 79901" if street else "El Paso, TX 79901")
    said = "May be visited from 2026-09-01 on, twelve months after the last compliance or recall"
    assert f"{said} inspection." in lines[2]
