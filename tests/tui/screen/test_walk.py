"""A restless operator at random: any key on any screen, while anything comes over the wire, the
terminal changes its size and the engine answers as it likes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

import tui.screen.app
from tests.tui.hostile import LINES, TEXTS, edited
from tests.tui.on_screen import World, run_row, showing
from tui.data import record
from tui.keys import COMMANDS, WRITES
from tui.screen.dialogs import background

STEPS = 40
LEAVES = {"q", "ctrl+q", "ctrl+z"}
KEYS = [
    *sorted({key for c in COMMANDS for key in c.keys.split(",") if key} - LEAVES),
    *("tab", "backspace", "m", "w", "0", "9", "ctrl+c"),
    *("y", "y", "y", "enter", "enter", "space", "escape", "escape", "R", "P", "C", "D", "E"),
]
ANSWERS_QUESTIONS = {"y", "enter"}
SIZES = [(80, 24), (80, 24), (140, 40), (60, 12), (52, 10), (200, 60), (80, 14), (1, 1)]
FORBIDDEN = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200B, 0x200E, 0x200F,
                                    *range(0x202A, 0x202F), *range(0x2066, 0x206A))}  # fmt: skip
SECRET = "hunter2"
PROBLEM = {"content-type": "application/problem+json"}


class Walk:
    """What is done, and what was on the screen before it."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, Random(seed)
        self.drawn: defaultdict[tuple[str, str | None], set[int]] = defaultdict(set)
        """The revisions of each run and step that were ever drawn, or answered to an action."""
        self.key = ""
        self.layers = 1
        """How many screens lay over each other when it was pressed."""
        self.was_typing = False
        """Whether the line at the foot was open then: `enter` answers what it asks."""
        self.done: list[object] = []
        self._drew, world.app.acting.drawn = world.app.acting.drawn, self.see  # type: ignore[method-assign]

    # -- the engine ----------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        """As it likes."""
        path, random = request.url.path, self.random
        if request.method == "POST":
            self.check(path, json.loads(request.content or b"null"))
        luck = random.random()
        if luck < 0.1:
            raise httpx.ConnectError("gone")
        if luck < 0.2:
            members = {
                "type": f"https://x/{random.choice(['revision-changed', 'y'])}",
                "title": random.choice(TEXTS),
                "detail": random.choice(TEXTS),
                "status": 409,
                "run": random.choice([None, [], {"status": [1]}]),
            }
            return httpx.Response(random.choice([401, 409, 503]), json=members, headers=PROBLEM)
        if luck < 0.3:
            return httpx.Response(200, content=b"no \x1b[31m JSON")
        if path.endswith("/actions"):
            run = msgspec.structs.replace(run_row(1, random.choice(["paused", "running"])), at=None)
            self.drawn["", None].add(run.rev)
            row = msgspec.to_builtins(run)
            done = {"action": "x", "dryRun": False, "step": None, "changed": [run.id], "run": row}
            return httpx.Response(202, json=done)
        if "/bulk" in path:
            return httpx.Response(202, json={
                "id": "01JOB", "state": "running", "action": "retry", "q": "x", "done": 0,
                "matched": random.choice([0, 3, 231]), "total": 3, "skipped": {"[/red]": 1},
                "ratePerS": random.choice([20, 0])})  # fmt: skip
        body = random.choice([f'{{"password":"{SECRET}"}}'.encode(), b"\xff\x1b", b"[/red]\x1b]0;"])
        kind = random.choice(["application/json", "text/plain"])
        return httpx.Response(200, content=body, headers={"content-type": kind})

    def check(self, path: str, members: dict[str, Any]) -> None:
        """Something is posted: somebody asked for it, and meant what is named in it."""
        answers = self.layers > 1 or (self.was_typing and self.key == "enter")
        asked = self.key in WRITES | ANSWERS_QUESTIONS if answers else self.key in WRITES
        assert asked, (self.key, self.layers, path, members)
        if "ifRev" in members:
            run_id = path.split("/")[4]
            known = self.drawn[run_id, members.get("step")] | self.drawn["", None]
            assert members["ifRev"] in known, (path, members, known)

    # -- the operator --------------------------------------------------------------------------

    def see(self, row_ids: Sequence[str]) -> None:
        """What is drawn may be meant by the next key; so may marked rows beside the screen."""
        app = self.world.app
        self._drew(row_ids)
        for row_id in app.selection().ids:
            target = app.acting._target(row_id)
            if target is not None:
                self.drawn[target.run_id, target.step_id].add(target.rev)
                self.drawn[target.run_id, target.step_id or target.run_id].add(target.rev)

    def comes(self) -> None:
        """A line of the recording, as it is or edited."""
        line = self.random.choice(LINES)
        raw = json.dumps(line).encode()
        if self.random.random() < 0.5:
            raw = edited(self.random, line)
        try:
            taken = msgspec.json.decode(raw, type=record.RecordedInput)
        except msgspec.DecodeError:
            return
        self.world.store.apply(record.played(taken, self.world.clock.monotonic()))

    async def step(self) -> None:
        """One thing."""
        world, random = self.world, self.random
        luck = random.random()
        if luck < 0.55:
            self.key, self.layers = random.choice(KEYS), len(world.app.screen_stack)
            self.was_typing = bool(world.app.prompt.kind)
            self.done.append(self.key)
            await world.pilot.press(self.key)
        elif luck < 0.85:
            self.comes()
        elif luck < 0.92:
            size = random.choice(SIZES)
            self.done.append(size)
            await world.pilot.resize_terminal(*size)
        else:
            world.clock.pass_s(random.choice([0.3, 1.0, 1.0, 20.0]))
            world.live()
            world.app.tick()

    async def looks(self) -> None:
        """All that was begun ends, and what is on the screen is harmless."""
        await self.world.works_end()
        for line in await self.world.shown():
            assert not FORBIDDEN & set(line), line
            assert SECRET not in line


@pytest.mark.parametrize("seed", range(3))
def test_a_walk_at_random(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends the dashboard, nothing harmful reaches the terminal, and nothing is posted but
    by the keys that act, to what was on the screen."""
    monkeypatch.setattr(tui.screen.app, "FLUSH_S", 1e6)  # drawn when the walk says so
    monkeypatch.setattr(tui.screen.app, "TICK_S", 1e6)

    walks: list[Walk] = []
    monkeypatch.setattr(World, "_answer", lambda _, request: walks[0].answer(request))

    async def test(world: World) -> None:
        walks.append(walk := Walk(world, seed))
        monkeypatch.setattr(background, "call", lambda words: None)
        world.app.copying.find_tool = lambda: None
        for line in LINES[:8]:
            taken = msgspec.convert(line, record.RecordedInput)
            world.store.apply(record.played(taken, world.clock.monotonic()))
        await walk.looks()
        for _ in range(STEPS):
            await walk.step()
            if walk.random.random() < 0.5:
                await walk.looks()
            assert world.app.is_running, walk.done
        await walk.looks()

    showing(test)
