"""Older backups go once a new one is whole, and nothing but backups goes."""

import json
from pathlib import Path

import pytest

from serving.errors import DiskError
from serving.keeping.files import MANIFEST, SEALED_KEY
from serving.keeping.old_backups import remove_old


def made(folder: Path, day: str) -> Path:
    (folder / "home").mkdir(parents=True)
    (folder / MANIFEST).write_text(json.dumps({"made_at": f"{day}T04:10:00+00:00", "files": {}}))
    (folder / SEALED_KEY).write_bytes(b"sealed")
    (folder / "home" / "champion.json").write_text("{}")
    return folder


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def test_the_newest_by_their_own_date_stay_whatever_their_names_are(tmp_path):
    made(tmp_path / "z-oldest", "2026-01-01")
    made(tmp_path / "b", "2026-01-02")
    made(tmp_path / "a", "2026-01-03")
    newest = made(tmp_path / "newest", "2026-01-04")
    assert remove_old(newest, 2) == ["z-oldest", "b"]
    assert names(tmp_path) == {"a", "newest"}
    assert remove_old(newest, 2) == []
    assert remove_old(newest, 1) == ["a"]


def test_the_one_just_made_stays_even_where_a_clock_says_that_others_are_newer(tmp_path):
    made(tmp_path / "tomorrow", "2026-02-02")
    newest = made(tmp_path / "today", "2026-02-01")
    assert remove_old(newest, 1) == ["tomorrow"]
    assert names(tmp_path) == {"today"}


def test_what_is_no_backup_is_not_touched(tmp_path):
    newest = made(tmp_path / "2026-01-04", "2026-01-04")
    made(tmp_path / ".2026-01-03.staged", "2026-01-03")  # another command is writing it
    (made(tmp_path / "no-key", "2026-01-01") / SEALED_KEY).unlink()
    (made(tmp_path / "undated", "2026-01-01") / MANIFEST).write_text("{}")
    (tmp_path / "notes.txt").write_text("keep")
    elsewhere = made(tmp_path.parent / f"{tmp_path.name}-elsewhere", "2025-01-01")
    (tmp_path / "link").symlink_to(elsewhere)
    before = names(tmp_path)
    assert remove_old(newest, 1) == []
    assert names(tmp_path) == before
    assert names(elsewhere)


def test_a_removal_that_broke_off_is_no_backup_and_is_finished(tmp_path, monkeypatch):
    made(tmp_path / "old", "2026-01-01")
    newest = made(tmp_path / "new", "2026-01-02")

    def fails(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr("serving.keeping.old_backups.shutil.rmtree", fails)
        with pytest.raises(DiskError, match="is whole"):
            remove_old(newest, 1)
    assert names(tmp_path) == {".removed-old", "new"}
    assert remove_old(newest, 1) == []
    assert names(tmp_path) == {"new"}
