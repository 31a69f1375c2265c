"""A file that turns out to be damaged while it is read: named, not called a bug of the engine's."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import Problem, Refused
from engine.store import content
from tests.store.support import new_run, store_at


async def test_damage_is_named_when_it_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file too large to be looked through at the start: who asks for what lies on a damaged page
    is told so, the log says it once, and what lies elsewhere is answered."""
    path, logged = tmp_path / "a.db", []
    async with store_at(path) as store:
        for number in range(300):
            store.write(new_run(f"{number:03}")[1])
    with path.open("r+b") as file:
        data = file.read()
        at = data.rindex(b"R150") // 4096 * 4096
        file.seek(at)
        file.write(bytes(4096))
    monkeypatch.setattr(content, "WHOLE_BYTES_MAX", 0)
    async with store_at(path, log=lambda event, **values: logged.append((event, values))) as store:
        for _ in range(3):
            with pytest.raises(Refused, match="The database is damaged where this is kept") as told:
                await store.load_runs([f"R{number:03}" for number in range(300)], 0)
            assert told.value.problem is Problem.STORE_UNAVAILABLE
        assert [event for event, _ in logged] == ["store-damaged"]
        assert logged[0][1]["db"] == str(path)
        assert "back-up.md" in logged[0][1]["mend"]
        assert await store.write(new_run("after")[1]).wait_unless_away()
