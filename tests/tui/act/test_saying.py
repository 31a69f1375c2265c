"""What a person says on the dashboard: notes of runs and causes, and why a cause is dismissed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from engine.wire import NOTE_BYTES_MAX, DismissalRow, NoteRow
from tests.tui.act.support import ILL, causes
from tests.tui.on_screen import (
    World,
    accepted,
    at,
    line_with,
    on_screen,
    run_row,
    showing,
    step_row,
)
from tui.act.open import open_run

ELSE = replace(ILL, cause="6bf74880", runs=3, new_runs=0, workflow_name="report")
HIDDEN = DismissalRow(at(-7_200), "ana@laptop", "ticket 4711", came_again=False)
AGAIN = replace(HIDDEN, came_again=True)
DISMISS = "/api/v1/causes/92d9401c/dismiss"
UNDISMISS = "/api/v1/causes/92d9401c/undismiss"


def says(world: World, came_again: bool = False) -> None:
    """The engine takes what is said of a cause."""
    row = {"at": at(0), "actor": "me", "reason": "so", "cameAgain": came_again}
    world.answers |= {"/dismiss": (200, row), "/undismiss": (200, row)}
    world.answers["/notes"] = (200, {"at": at(0), "actor": "me", "text": "so"})


def lists_dismissed(world: World) -> bool:
    return world.app.looking.board.dismissed


async def typed(world: World, text: str) -> list[str]:
    world.app.prompt.field.value = text
    return await world.press("enter")


@on_screen(size=(80, 24), board="causes")
async def test_a_cause_is_dismissed_with_a_reason_and_put_back(world: World) -> None:
    """As it was seen, so that what came since comes again. `z` takes it back."""
    says(world)
    causes(world, ILL, ELSE)
    await world.shown()
    line_with(await world.press("D"), " dismiss, why ")
    assert world.posts == []
    lines = await typed(world, " ticket 4711 ")
    line_with(lines, "dismissed: cause 92d9401c · z takes it back")
    assert world.posts == [(DISMISS, {"reason": "ticket 4711", "lastAt": ILL.last_at})]
    assert world.store.listing("causes").outdated
    line_with(await world.press("z"), "taken back: cause 92d9401c back on the list")
    assert world.posts[1:] == [(UNDISMISS, {})]


@on_screen(size=(80, 24), board="causes")
async def test_a_dismissed_cause_is_put_back_at_once(world: World) -> None:
    """Its key says so; `z` dismisses it again, for the reason that it had."""
    says(world)
    causes(world, replace(ILL, dismissal=HIDDEN), dismissed=(1, 60))
    lines = await world.shown()
    line_with(lines, "dismissed · failed")
    assert "Undismiss" in line_with(await world.press("x"), " D ")
    await world.press("escape")
    line_with(await world.press("D"), "back on the list: cause 92d9401c")
    await world.press("z")
    asked = {"reason": "ticket 4711", "lastAt": ILL.last_at}
    assert world.posts == [(UNDISMISS, {}), (DISMISS, asked)]


@on_screen(size=(140, 40), board="causes")
async def test_what_came_meanwhile_is_told(world: World) -> None:
    """It stays on the list then."""
    says(world, came_again=True)
    causes(world, ILL)
    await world.shown()
    await world.press("D")
    line_with(await typed(world, "known"), "it has come again since it was seen, and stays")


@on_screen(size=(80, 24), board="causes")
async def test_no_reason_no_dismissal(world: World) -> None:
    """Nor one that is too long; at the limit it is taken."""
    says(world)
    causes(world, ILL)
    await world.shown()
    for text in ("  ", "ü" * (NOTE_BYTES_MAX // 2) + "x"):
        await world.press("D")
        line_with(await typed(world, text), "dismiss: nothing was done, it needs a text of at most")
    assert world.posts == []
    await world.press("D")
    await typed(world, "ü" * (NOTE_BYTES_MAX // 2))
    assert len(world.posts) == 1


@on_screen(size=(140, 40), board="causes")
async def test_stuck_says_what_is_dismissed_and_what_came_again(world: World) -> None:
    """How many, and how to see them; what stands on no list is not counted as stuck."""
    causes(world, replace(ILL, dismissal=AGAIN), ELSE, dismissed=(2, 5))
    lines = await world.shown()
    line_with(lines, "came again · failed")
    line_with(lines, "63 stuck runs · 2 causes · 2 dismissed, m lists them")
    line_with(lines, "came again after ana@laptop dismissed it 2h")
    assert "ago: ticket 4711" in line_with(lines, "came again after")
    assert not lists_dismissed(world)
    await world.press("m")
    assert lists_dismissed(world)
    causes(world, replace(ILL, dismissal=AGAIN), replace(ELSE, dismissal=HIDDEN), dismissed=(1, 3))
    lines = await world.passes(6)
    line_with(lines, "dismissed · failed")
    line_with(lines, "60 stuck runs · 1 cause · 1 dismissed, m leaves them out")
    assert "Stuck 60" in lines[1]
    await world.press("m")
    assert not lists_dismissed(world)


@on_screen(size=(80, 24), board="causes")
async def test_where_all_is_dismissed_that_is_said(world: World) -> None:
    """Nothing needs a person, and how to see the rest."""
    causes(world, dismissed=(1, 60))
    lines = await world.shown()
    line_with(lines, "Nothing needs a person.")
    line_with(lines, "1 cause of 60 runs is dismissed: m lists it")


NOTES = tuple(NoteRow(at(-60 * n), "ana@laptop", f"note {n}") for n in (4, 3, 2, 1))


@on_screen(size=(80, 24), board="causes")
async def test_notes_of_a_cause_are_seen(world: World) -> None:
    """A sign on its row, the latest below the list, all of them by `i`; nothing is cut there."""
    long = NoteRow(at(-5), "bob", "word " * 60 + "end")
    causes(world, replace(ILL, notes=(*NOTES, long)), ELSE)
    lines = await world.shown()
    assert "✎" in line_with(lines, "failed  ")
    assert "✎" not in line_with(lines, " report")
    foot = line_with(lines, " by bob")
    assert foot.startswith(" note 5s ago by bob: word")
    assert foot.rstrip().endswith("… · i shows all")
    lines = await world.press("i")
    assert re.search(r"first  \d+\S* ago, at ", "\n".join(lines))
    for note in NOTES:
        line_with(lines, f"ago by ana@laptop: {note.text}")
    line_with(lines, "word end")


@on_screen(size=(80, 24), board="causes")
async def test_a_note_of_a_cause_is_written(world: World) -> None:
    """By a key, or behind the command's name."""
    says(world)
    causes(world, ILL)
    await world.shown()
    line_with(await world.press("W"), " note ")
    line_with(await typed(world, "vendor informed"), "noted: cause 92d9401c")
    path = "/api/v1/causes/92d9401c/notes"
    assert world.posts == [(path, {"text": "vendor informed"})]
    assert world.store.listing("causes").outdated
    await world.press("colon")
    await typed(world, "note ticket 4711")
    assert world.posts[1:] == [(path, {"text": "ticket 4711"})]
    await world.press("W")
    line_with(await typed(world, " "), "note: nothing was done, it needs a text")
    assert len(world.posts) == 2


def failed(world: World, **members: Any) -> str:
    run = run_row(1, "failed")
    world.runs(run)
    world.tree(run, step_row(run.id, None, "failed"), step_row(run.id, "charge", "failed"))
    world.trees[run.id] = replace(world.trees[run.id], **members)
    world.answers["/actions"] = accepted(run)
    return run.id


@on_screen(size=(80, 24))
async def test_a_note_of_a_run_is_written(world: World) -> None:
    """In the list, and on its page wherever the cursor is: a note is of the run. It needs no
    revision."""
    run_id = failed(world)
    await world.shown()
    await world.press("W")
    line_with(await typed(world, "vendor informed"), "noted: order")
    open_run(world.app, run_id, f"{run_id}-charge")
    await world.press()  # it is on the screen
    await world.press("W")
    await typed(world, "ticket 4711")
    asked = [{"action": "note", "reason": text} for text in ("vendor informed", "ticket 4711")]
    assert world.posts == [(f"/api/v1/runs/{run_id}/actions", body) for body in asked]


@on_screen(size=(80, 24))
async def test_a_note_of_marked_runs(world: World) -> None:
    """Each gets it; of all that a filter finds there is none."""
    runs = [run_row(n, "failed") for n in (1, 2)]
    world.runs(*runs)
    world.answers["/actions"] = accepted(runs[0])
    await world.shown()
    await world.press("space", "space", "W")
    line_with(await typed(world, "known"), "note: 2 done")
    assert [body["reason"] for _, body in world.posts] == ["known", "known"]
    world.app.looking.mark_filter(whole=True)
    line_with(await world.press("W"), "a note is of one run")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_notes_of_a_run_are_on_its_page(size: tuple[int, int]) -> None:
    """The latest at the foot, wherever the cursor is; more of them with the run itself."""

    async def test(world: World) -> None:
        run_id = failed(world, notes=NOTES)
        world.tree_held(run_id)
        open_run(world.app, run_id, f"{run_id}-charge")
        lines = await world.shown()
        foot = line_with(lines, "Runs ›")
        assert "note 1m" in foot
        assert "by ana@laptop: note 1" in foot or size[0] == 80
        world.app.selection().move_to_id(run_id)
        lines = await world.shown()
        for note in NOTES[1:]:
            line_with(lines, f"{note.text} (ana@laptop, ")
        line_with(lines, "… and 1 before: atomic show")

    showing(test, size=size)


@on_screen(size=(140, 40))
async def test_a_note_that_another_writes_is_read(world: World) -> None:
    """The event says that there is one: the run is read again."""
    run_id = failed(world)
    assert not world.store.trees[run_id].outdated
    said = {"action": "note", "actor": "ana", "reason": "vendor informed"}
    world.event("step", "acted", run_id, run_id, status="failed", rev=4, **said)
    assert world.store.trees[run_id].outdated
