"""Each thing that `atomic doctor` looks at, as it should be and as it should not."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.front.admin import doctor as of_engine
from engine.front.admin import machine as doctor
from engine.jobs.backups import BackupDone
from engine.wire.doctor import Verdict

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ("3.6.23", OK), ("3.7.0", WARN), ("3.40.1", WARN), ("3.44.5", WARN), ("3.44.6", OK),
        ("3.45.0", WARN), ("3.50.6", WARN), ("3.50.7", OK), ("3.51.2", WARN), ("3.51.3", OK),
        ("3.54.1", OK),
    ],
)  # fmt: skip
def test_versions_of_sqlite_with_a_known_fault(version: str, verdict: Verdict) -> None:
    """The WAL-reset bug, and the lines in which it was mended."""
    assert doctor.sqlite_finding(version).verdict is verdict


@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({"journal_mode": "wal", "synchronous": 2, "sqlite": "3.40.1"}, OK),
        ({"journal_mode": "wal", "synchronous": 1}, FAIL),
        ({"journal_mode": "delete", "synchronous": 2}, FAIL),
        ({}, FAIL),
    ],
)
def test_what_a_power_cut_loses(settings: dict[str, str | int], verdict: Verdict) -> None:
    """Nothing that was acknowledged, or it is said."""
    found = doctor.durability_finding(settings)
    assert found.verdict is verdict
    assert "power cut" in found.what


@pytest.mark.parametrize(
    ("names", "commit", "said"),
    [
        ("", "on", "No standby is waited for"),
        ("db2", "local", "No standby is waited for"),
        ("db2", "remote_write", "need not have synced it (synchronous_commit remote_write)"),
        ("db2", "on", "So is every one by a standby"),
        ("db2", "remote_apply", "So is every one by a standby"),
        ("db2", "off", "So is every one by a standby"),  # the engine's own commits have it on
    ],
)
def test_what_a_standby_has(names: str, commit: str, said: str) -> None:
    """As far as the server's settings go, by which the engine's commits wait for one."""
    found = doctor.server_finding(
        {"postgresql": "16", "synchronous_commit": commit, "synchronous_standby_names": names}
    )
    assert found.verdict is OK
    assert said in found.what


@pytest.mark.parametrize(
    ("free_mib", "size_mib", "verdict"),
    [(50_000, 100_000, OK), (1_025, 4_000, OK), (1_023, 4_000, WARN), (4_000, 100_000, WARN),
     (65, 4_000, WARN), (63, 4_000, FAIL), (0, 100, FAIL)],
)  # fmt: skip
def test_room_on_a_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_mib: int,
    size_mib: int,
    verdict: Verdict,
) -> None:
    """Below 64 MiB, and where a gibibyte or a twentieth is left."""
    values = (1 << 20, 1 << 20, size_mib, free_mib, free_mib, 9, 9, 9, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(values))
    found = doctor.disk_finding(tmp_path, "disk")
    assert (found.name, found.verdict) == ("disk", verdict)
    assert bool(found.todo) is (verdict is not OK)


def test_a_directory_that_is_not_there_has_no_room(tmp_path: Path) -> None:
    """Of copies, say."""
    assert doctor.disk_finding(tmp_path / "none", "backup disk").verdict is FAIL


@pytest.mark.parametrize(
    ("of_file", "of_directory", "verdicts"),
    [(0o600, 0o700, [OK, OK]), (0o640, 0o755, [WARN, OK]), (0o604, 0o700, [WARN, OK]),
     (0o600, 0o770, [OK, FAIL]), (0o600, 0o1777, [OK, OK])],
)  # fmt: skip
def test_modes_of_files(
    tmp_path: Path, of_file: int, of_directory: int, verdicts: list[Verdict]
) -> None:
    """Who reads the database reads all payloads; who writes its directory can replace it."""
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "a.db").touch(0o600)
    wal = directory / "a.db-wal"
    wal.touch()
    wal.chmod(of_file)
    directory.chmod(of_directory)
    found = list(doctor.file_findings(directory / "a.db"))
    assert [it.verdict for it in found] == verdicts
    if verdicts[0] is WARN:
        assert f"a.db-wal {of_file:04o}" in found[0].what


@pytest.mark.parametrize(
    ("apart_ms", "last_at_ms", "verdict"),
    [(0, 0, OK), (999, 0, OK), (-1_000, 0, WARN), (1_000, 0, WARN), (0, 101_000, OK),
     (0, 101_001, FAIL)],
)  # fmt: skip
def test_the_clock(apart_ms: int, last_at_ms: int, verdict: Verdict) -> None:
    """It was set, or is behind what is recorded: a second is nothing."""
    assert doctor.clock_finding(apart_ms, 100_000, last_at_ms).verdict is verdict


def test_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four fifths of what there may be is too many."""
    monkeypatch.setattr(os, "listdir", lambda path: ["0"] * 81)
    for may, verdict in ((100, WARN), (102, OK)):
        monkeypatch.setattr(resource, "getrlimit", lambda kind, may=may: (may, may))
        assert doctor.descriptors_finding().verdict is verdict


HOUR_MS = 3_600_000
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("age_h", "error", "is_there", "verdict", "words"),
    [
        (1, None, True, OK, "/b/a.db"),
        (1, None, False, OK, "/b/a.db, which is not there any more"),
        (73, None, True, WARN, "the last one is of "),
        (-1, None, True, WARN, "that time has not come yet"),
        (1, "the disk is full.", False, WARN, "/b/a.db, which is not there any more"),
        (25, "the disk is full.", True, FAIL, "the last one failed: the disk is full"),
        (-1, "the disk is full.", True, FAIL, "the last one failed: the disk is full"),
        (None, None, False, WARN, "there was none yet"),
    ],
)
def test_how_old_the_last_backup_is(
    age_h: int | None, error: str | None, is_there: bool, verdict: Verdict, words: str
) -> None:
    """Of every day, twice late; of a time that has not come yet nobody knows it. That somebody has
    moved it is said, and no fault."""
    at = NOW - (age_h or 0) * HOUR_MS
    good = None if age_h is None else BackupDone("/b/a.db", at, 1, "engine")
    last = good if error is None else BackupDone("/b/b.db", NOW, 1, "engine", error=error)
    backups = SimpleNamespace(
        good=good,
        last=last,
        made_at=lambda it: None if it is None or it.at > NOW else it.at,
        due_at=at + 24 * HOUR_MS,
    )
    examined: Any = SimpleNamespace(backups=backups, utc_ms=lambda: NOW, backup_every_h=24)
    found = of_engine._backup(examined, is_there)
    assert found.verdict is verdict
    assert words in found.what
    assert bool(found.todo) is (verdict is not OK)
