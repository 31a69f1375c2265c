"""What tests of acts share: an editor, a run whose step was declined, causes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from engine.wire import AttemptRow, CauseList, CauseRow, RunRow
from tests.tui.on_screen import World, at, run_row, step_row
from tui.data.inputs import CausesRead
from tui.screen.dialogs import background

ILL = CauseRow("92d9401c", 60, 2, at(-900), at(-14), run_row(1).id, "order", "failed", None)

Writes = Callable[[str], str]


class Editor:
    """$EDITOR: what it was given, and what it makes of it, one after the other."""

    def __init__(self, *writes: Writes) -> None:
        self.writes = list(writes)
        self.given: list[str] = []
        self.words: list[Sequence[str]] = []
        self.is_web = False

    def run_program(self, words: Sequence[str]) -> None:
        path = Path(words[-1])
        self.words.append(words)
        self.given.append(path.read_text())
        path.write_text(self.writes.pop(0)(path.read_text()))

    def copy_to_clipboard(self, text: str) -> None: ...


def says(text: str) -> Writes:
    """Below what is told at the top, this alone."""
    return lambda given: "".join(
        line for line in given.splitlines(keepends=True) if line.startswith("#")
    ) + text  # fmt: skip


class nothing:
    """A suspension that does not."""

    def __init__(self, *_: object) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def failed(world: World) -> RunRow:
    """A run whose step was declined."""
    run = run_row(1, "failed")
    declined = AttemptRow(1, 1, "failure", at(-9), at(-8), 402, "http-status")
    world.runs(run)
    world.tree(
        run,
        step_row(run.id, None, "failed"),
        step_row(run.id, "charge", "failed", attempt_rows=(declined,), rev=7),
    )
    return run


def answers(world: World, run: RunRow, action: str, *changed: str, status: str = "failed") -> None:
    """What the engine says of it, before and after."""
    rows = {row.id: row for row in world.trees[run.id].steps}
    step = next((row for row in rows.values() if row.name == "charge"), None)
    world.answers["/actions"] = (
        202,
        {
            "action": action, "dryRun": False, "step": msgspec.to_builtins(step),
            "run": msgspec.to_builtins(msgspec.structs.replace(run, status=status)),
            "changed": list(changed),
            "changedSteps": [{"stepId": id, "stepName": id} for id in changed],
        },
    )  # fmt: skip


def edits(monkeypatch: pytest.MonkeyPatch, world: World, *writes: Writes) -> Editor:
    """The terminal is the editor's."""
    editor = Editor(*writes)
    monkeypatch.setattr(background, "call", editor.run_program)
    monkeypatch.setattr(type(world.app), "suspend", nothing)
    return editor


async def typed(world: World, text: str) -> list[str]:
    world.app.prompt.field.value = text
    return await world.press("enter")


def causes(world: World, *rows: CauseRow, dismissed: tuple[int, int] = (0, 0)) -> None:
    runs = sum(row.runs for row in rows)
    world.store.apply(CausesRead(CauseList(rows, runs, 300_000, *dismissed)))
