"""An object store: a server of its protocol in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # a second to import, in each process that collects

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(object_store: str, monkeypatch) -> Any:
    import boto3

    for name, value in (
        ("AWS_ENDPOINT_URL", object_store), ("AWS_ACCESS_KEY_ID", "invented"),
        ("AWS_SECRET_ACCESS_KEY", "invented"), ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    made = boto3.resource("s3", endpoint_url=object_store).Bucket("records")
    made.create()
    yield made
    made.objects.all().delete()
    made.delete()
