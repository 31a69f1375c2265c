"""`atomic verify`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import trio

from engine.cli.exits import EXIT_DAMAGED, EXIT_REFUSED, EXIT_USAGE
from tests.client.fake_engine import Atomic
from tests.store.support import answered, change_file, new_run, started, store_at


async def _write_one(path: Path) -> None:
    async with store_at(path) as store:
        run, write = new_run("a")
        for each in (write, started(run, 1), answered(run, 2)):
            await store.write(each).wait()


def test_verify_says_what_it_has_looked_at(atomic: Atomic, path: Path) -> None:
    """Each check with its counts, and that nothing is wrong."""
    trio.run(_write_one, path)
    result = atomic("verify", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path}: ")
    assert "checked  rows: 1 run, 1 step, 1 attempt, 1 outcome held against their events" in lines
    assert lines[-1].startswith("nothing wrong, ")


def test_verify_names_each_fault_and_has_an_exit_code_for_it(atomic: Atomic, path: Path) -> None:
    """As text and as JSON."""
    trio.run(_write_one, path)
    change_file(path, "UPDATE step SET failures = 4")
    result = atomic("verify", str(path))
    assert result.exit_code == EXIT_DAMAGED
    assert "FAULT    step Ra: failures is 4, and its events say 0. Restore a copy" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("1 fault, ")
    result = atomic("verify", str(path), "--json")
    assert result.exit_code == EXIT_DAMAGED
    report = json.loads(result.stdout)
    assert [fault["place"] for fault in report["faults"]] == ["step Ra"]
    assert report["tookMs"] >= 0


def test_what_verify_cannot_look_at_is_a_line(atomic: Atomic, path: Path) -> None:
    """Nothing there, a directory, a file that an engine has open."""
    for wrong, said in ((path, "does not exist"), (path.parent, "is a directory")):
        result = atomic("verify", str(wrong))
        assert result.exit_code == EXIT_USAGE
        assert said in result.stderr

    async def beside_an_engine() -> None:
        async with store_at(path):
            result = atomic("verify", str(path))
            assert result.exit_code == EXIT_REFUSED
            assert "is in use by the engine with process id" in result.stderr

    trio.run(beside_an_engine)
