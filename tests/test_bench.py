"""Tools of the bench that a wrong figure would not betray: the loader, the counting of syncs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.core.model import StepState
from engine.ports.store import Due
from engine.store.sqlite.store import open_store
from engine.store.tables.views.views import TableViews
from tests.store.support import OWNER, the_run
from tests.world import payload_of

BENCH = Path(__file__).parents[1] / "bench"
RUNS = 60


def load(path: Path, *words: str) -> Any:
    """Make a file as the bench makes it."""
    command = (sys.executable, str(BENCH / "loader.py"), str(path), f"--runs={RUNS}", *words)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bench's modules, which are scripts beside each other and no package."""
    monkeypatch.syspath_prepend(str(BENCH))
    import row_written  # type: ignore[import-not-found]

    return row_written


@pytest.mark.slow
async def test_the_loader_makes_finished_runs(tmp_path: Path):
    """What the bench calls finished is what the engine calls completed, with all its steps."""
    path = tmp_path / "a.db"
    load(path, "--kind=finished")
    async with open_store(path, OWNER, started_at=0) as store:
        views = TableViews(store)
        assert (await views.summary(0)).runs == {"completed": RUNS}
        due = await store.due(Due(-1, "", ""), 2**62, 10)
        assert due == []


@pytest.mark.parametrize("text", [None, "no database, but words"])
def test_a_file_that_cannot_be_grown(tmp_path: Path, text: str | None) -> None:
    """It is said, and nothing is made where there was none."""
    path = tmp_path / "a.db"
    if text is not None:
        path.write_text(text)
    command = (sys.executable, str(BENCH / "grow.py"), str(path), "--gb=0.1")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"{path} is n" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.exists() == (text is not None)


@pytest.mark.slow
async def test_the_loader_makes_waiting_runs(tmp_path: Path):
    """They have failed once, and are due when it was said: some together, the others later."""
    path = tmp_path / "a.db"
    told = load(path, "--kind=waiting", "--soon=5", "--soon-s=20")
    soon_at = int(told["soon_at"] * 1000)
    async with open_store(path, OWNER, started_at=0) as store:
        due = await store.due(Due(-1, "", ""), 2**62, 2 * RUNS)
        assert len(due) == RUNS
        assert [abs(each.wake_at - soon_at) < 1_000 for each in due] == [True] * 5 + [False] * 55
        run = the_run((await store.load_runs([due[-1].run_id], 0))[0])
        assert (run.root.state, run.root.failures) == (StepState.BACKING_OFF, 1)
        assert json.loads(await payload_of(store, run.id))["id"] == run.root.spec.key


def test_bytes_and_syncs_are_counted_on_the_data_alone(bench: Any):
    """Lines of strace: whole calls, calls that another thread cut in two, vectors, other files."""
    trace = """\
7  pwrite64(5</d/a.db-wal>, ""..., 4096, 32) = 4096
8  pwrite64(5</d/a.db-wal>, ""..., 24, 4128 <unfinished ...>
7  write(2</logs/engine>, ""..., 300) = 300
8  <... pwrite64 resumed>) = 24
7  fdatasync(5</d/a.db-wal>) = 0
7  fdatasync(9</other/a.db-wal>) = 0
7  writev(6</d/x>, [{iov_base=""..., iov_len=10}, {iov_base=""..., iov_len=5}], 2) = 15
"""
    assert bench.count(trace, Path("/d")) == (4096 + 24 + 15, 1)


def test_what_measures_the_dashboard_is_of_this_dashboard() -> None:
    """No type checker reads the bench: a name that it takes from the dashboard may have gone."""
    code = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import tui_budget"
    subprocess.run((sys.executable, "-c", code), cwd=BENCH.parent, check=True)


@pytest.mark.slow
def test_sizing_measures_what_its_page_tells():
    """Every row of the table, on an engine and a file; with fewer runs than anybody has."""
    small = (
        "import sys, machine, sizing, asyncio; machine.quiet_wait_s = 0;"
        " sizing.MADE_RUNS = sizing.WAITING_RUNS = 200;"
        " sizing.OPEN_RUNS = 100; sys.argv += ['--gb', '0.001', '--for-s', '0.2', '--dry-run'];"
        " asyncio.run(sizing.main())"
    )
    done = subprocess.run(
        (sys.executable, "-c", small), cwd=BENCH, stdout=subprocess.PIPE, text=True, check=True
    )
    measured = re.findall(r"^\| (.*?) \| [\d,.]+ \|$", done.stdout, re.MULTILINE)
    page = (BENCH.parent / "docs" / "how-to" / "sizing.md").read_text()
    told = re.findall(r"^\| (.*?) \| [\d,.]+ \|$", page, re.MULTILINE)
    assert told
    assert told == [row for row in measured if row in told]  # figures of a busy machine are not
    assert len(measured) == 14
