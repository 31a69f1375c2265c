"""A short trial, and proof that its judgement would find what it looks for."""

from __future__ import annotations

import gc
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.kill.check import Findings, check_records
from tests.kill.trial import Trial

SEED = 20_251
TAMPERINGS = {
    "an event is missing": (
        "atomic.db",
        "DELETE FROM journal WHERE seq = (SELECT seq FROM journal LIMIT 1 OFFSET 7)",
    ),
    "an outcome is missing": (
        "atomic.db",
        "DELETE FROM outcome WHERE step_id = (SELECT min(step_id) FROM outcome)",
    ),
    "a run is open": ("atomic.db", "UPDATE run SET state = 'running' WHERE key = 'k-0'"),
    "a run nobody asked for": ("atomic.db", "UPDATE run SET key = 'x' WHERE key = 'k-0'"),
    "a run is lost": (
        "atomic.db",
        "DELETE FROM step WHERE run_id = (SELECT id FROM run WHERE key = 'k-0')",
    ),
    "a call after the outcome": (
        "ledger.db",
        "UPDATE call SET at_ms = at_ms + 60000 WHERE id = 5",
    ),
    "an attempt that was not recorded": (
        "ledger.db",
        "UPDATE call SET attempt = attempt + 50 WHERE id = 5",
    ),
    "a parent token twice": ("ledger.db", "UPDATE call SET parent_token = 't' WHERE id IN (5, 6)"),
    "an effect twice": (
        "ledger.db",
        "INSERT INTO effect SELECT 1000000, 'other', key, name, payload FROM effect WHERE id = 1",
    ),
    "an effect is lost": ("ledger.db", "DELETE FROM effect WHERE id = 1"),
    "an outcome that changed": (
        "ledger.db",
        "INSERT INTO seen SELECT 1000000, at_ms, step_id, 200, x'7b7d' FROM seen WHERE id = 1",
    ),
}

TAMPERINGS_OF_GONE = {
    "a key is lost": (
        "atomic.db",
        "DELETE FROM expired WHERE key = (SELECT min(key) FROM expired)",
    ),
    "a run went that had failed": (
        "atomic.db",
        "UPDATE expired SET state = 'failed' WHERE key = (SELECT min(key) FROM expired)",
    ),
    "the floor is lost": ("atomic.db", "UPDATE engine SET floor = 0"),
    "an effect twice": TAMPERINGS["an effect twice"],
    "an effect is lost": TAMPERINGS["an effect is lost"],
}


# httpx leaves the stream of a request's body where a killed peer broke it off.
@pytest.mark.filterwarnings("ignore:Async generator .*ByteStream:ResourceWarning")
@pytest.mark.slow
async def test_promises_hold_under_kill_9(tmp_path: Path) -> None:
    """Four kills of the engine and two of the application under load break no promise."""
    trial = Trial(tmp_path, SEED, kills=4, app_kills=2)
    findings = await trial.run()
    assert findings.violations == []
    assert (trial.engine.kills, trial.app.kills) == (4, 2)
    assert findings.counts["acknowledged"] == findings.counts["outcomes"] > 20
    _tamper(trial, TAMPERINGS)
    gc.collect()  # what was left warns here, where it is known


@pytest.mark.filterwarnings("ignore:Async generator .*ByteStream:ResourceWarning")
@pytest.mark.slow
async def test_promises_hold_while_what_has_ended_goes(tmp_path: Path) -> None:
    """Runs that completed go after seconds, and the journal with them, under the same kills: what
    has gone is told so, nothing of what stays is hurt, and nothing happens twice."""
    trial = Trial(tmp_path, SEED, kills=4, app_kills=1, pruned=True)
    findings = await trial.run()
    assert findings.violations == []
    assert min(findings.counts["runs gone"], findings.counts["events cut"]) > 0
    _tamper(trial, TAMPERINGS_OF_GONE)
    gc.collect()


def _tamper(trial: Trial, tamperings: Mapping[str, tuple[str, str]]) -> None:
    """Each of these is found, in a copy of the trial's files."""
    for name, (file, statement) in tamperings.items():
        copy = trial.directory / name
        copy.mkdir()
        for kept in (trial.database, trial.ledger):
            shutil.copy(kept, copy / kept.name)
        with closing(sqlite3.connect(copy / file)) as database, database:
            database.execute(statement)
        found = Findings()
        check_records(found, trial.load, copy / "atomic.db", copy / "ledger.db", trial.log)
        assert found.violations, name
