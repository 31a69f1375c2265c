"""What a person has typed outlasts what comes between: attempts, refusals, another board."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from engine.wire import AttemptRow, CauseList, NoteRow, RunRow, StepRow
from tests.tui.act.support import ILL, answers, causes, edits, failed, says, typed
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tui.act.change.drafts import ACTS_MAX, Act, Drafts
from tui.act.change.edit import NotEdited, edited
from tui.act.open import open_run

WHY = "the vendor says it is paid"
REFUSED = {"type": "/problems/invalid-state", "title": "It cannot be", "status": 409}


def charge(run: RunRow, rev: int, attempts: int) -> StepRow:
    """The step a while later: it was tried again, and has moved on."""
    last = AttemptRow(attempts, 1, "failure", at(-2), at(-1), 503, "http-status")
    return step_row(
        run.id, "charge", "backing-off", rev=rev, attempts=attempts, http_status=503,
        error="http-status", attempt_rows=(last,),
    )  # fmt: skip


def moved_on(run: RunRow, rev: int, attempts: int) -> tuple[int, Any]:
    """The refusal of what was meant for an earlier revision."""
    told = {"type": "/problems/revision-changed", "title": "It has changed", "status": 409,
            "detail": f"The step is at revision {rev}.", "rev": rev}  # fmt: skip
    rows = {"run": run, "step": charge(run, rev, attempts)}
    return 409, told | msgspec.to_builtins(rows)


def in_turn(world: World, *told: tuple[int, Any] | None) -> None:
    """What actions are answered, one after the other; None: what `answers` says, as all others."""
    left = list(told)
    asked = world._answer

    async def answer(request: httpx.Request) -> httpx.Response:
        found = left.pop(0) if request.url.path.endswith("/actions") and left else None
        usual = world.answers.get("/actions")
        if found is not None:
            world.answers["/actions"] = found
        try:
            return await asked(request)
        finally:
            if usual is not None:
                world.answers["/actions"] = usual

    assert world.app.client is not None
    world.app.client._exchange._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))


def revisions(world: World) -> list[tuple[int, bool]]:
    return [(body["ifRev"], body.get("dryRun", False)) for _, body in world.posts]


async def skip(world: World, run: RunRow) -> list[str]:
    """Ask to do without the step that failed."""
    open_run(world.app, run.id, f"{run.id}-charge")
    await world.press()
    await world.press("K")
    return await typed(world, WHY)


@on_screen(size=(80, 24))
async def test_an_attempt_that_came_while_it_was_typed_is_said(world: World) -> None:
    """And asked about: yes is for the step as it is by then. 80 columns have all of it."""
    run = failed(world)
    answers(world, run, "skip")
    in_turn(world, moved_on(run, 9, 3))
    lines = await skip(world, run)
    line_with(lines, "Do without this step?")
    line_with(lines, "meanwhile 2 more tries, it is backing-off now: 503")
    line_with(lines, "If it goes on so: esc, P pauses it, the same key asks again.")
    line_with(lines, f"why    {WHY}")
    world.clock.pass_s(1)
    line_with(await world.press("y"), "skipped: order")
    assert revisions(world) == [(7, True), (9, True), (9, False)]


@on_screen(size=(140, 40))
async def test_an_attempt_that_came_before_the_yes_is_asked_about(world: World) -> None:
    """Nothing of what was written has to be written again."""
    run = failed(world)
    answers(world, run, "skip")
    assert not any("meanwhile" in line for line in await skip(world, run))
    in_turn(world, moved_on(run, 8, 2))
    world.clock.pass_s(1)
    lines = await world.press("y")
    line_with(lines, "meanwhile 1 more try, it is backing-off now: 503")
    line_with(lines, f"why    {WHY}")
    world.clock.pass_s(1)
    line_with(await world.press("y"), "skipped: order")
    assert revisions(world) == [(7, True), (7, False), (8, True), (8, False)]
    assert {body["reason"] for _, body in world.posts} == {WHY}


@on_screen(size=(140, 40))
async def test_what_changes_all_the_time_is_not_asked_about_for_ever(world: World) -> None:
    """Three times; what helps is said, and the reason is there when the key is pressed again."""
    run = failed(world)
    answers(world, run, "skip")
    in_turn(world, *(moved_on(run, rev, rev) for rev in (8, 9, 10)))
    line_with(await skip(world, run), "it changes while it is asked about: P pauses it")
    assert len(world.posts) == 3
    assert line_with(await world.press("K"), " reason ").rstrip().endswith(WHY)


@on_screen(size=(140, 40))
async def test_a_reason_stays_until_it_has_been_given(world: World) -> None:
    """After a refusal, a no, and a reason that is too long; not once it is done."""
    run = failed(world)
    answers(world, run, "skip")
    in_turn(world, (409, REFUSED | {"detail": "It cannot be."}))
    line_with(await skip(world, run), "It cannot be")
    assert line_with(await world.press("K"), " reason ").rstrip().endswith(WHY)
    await world.press("enter")
    world.clock.pass_s(1)
    await world.press("escape", "K")
    assert world.app.prompt.kind == "reason"
    assert world.app.prompt.field.value == WHY
    line_with(await typed(world, "x" * 501), "the same key has your text still")
    await world.press("K")
    assert world.app.prompt.field.value == "x" * 501
    await typed(world, WHY)
    world.clock.pass_s(1)
    line_with(await world.press("y"), "skipped: order")
    await world.press("K")
    assert world.app.prompt.field.value == ""


def test_a_result_stays_until_it_has_been_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the editor, which may leave it as it is; an empty document takes it away."""

    async def test(world: World) -> None:
        run = failed(world)
        answers(world, run, "set-result")
        world.answers["/response"] = (200, b"{}")
        same = lambda given: given  # noqa: E731
        editor = edits(monkeypatch, world, says('{"paid": 1}'), same, says(""), says("2"))
        open_run(world.app, run.id, f"{run.id}-charge")
        await world.press()
        await world.press("S")
        await world.press("escape")
        await world.press("S")
        assert "# As you left it before" in editor.given[1]
        assert editor.given[1].endswith('\n{"paid": 1}')
        line_with(await typed(world, WHY), '"paid": 1')
        world.clock.pass_s(1)
        await world.press("escape")
        line_with(await world.press("S"), "the document is empty")
        await world.press("S")
        assert "# As you left it before" not in editor.given[3]
        assert world.app.prompt.field.value == WHY
        await world.press("enter")
        world.clock.pass_s(1)
        line_with(await world.press("y"), "result set: order")
        assert world.posts[-1][1]["result"] == 2

    showing(test, size=(140, 40))


def test_what_is_no_json_yet_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves the editor with it can go on where they were."""
    monkeypatch.setenv("EDITOR", "vim")
    editor = Editing("{", None)
    with pytest.raises(NotEdited) as error:
        edited(editor, ["About it."], "")
    assert error.value.text == "{"
    editor = Editing("{}")
    assert edited(editor, ["About it."], "", "{") == "{}"
    assert editor.given == ["# About it.\n{"]


class Editing:
    """$EDITOR: writes these, one after the other; None leaves the file as it is."""

    is_web = False

    def __init__(self, *texts: str | None) -> None:
        self.texts, self.given = list(texts), list[str]()

    def run_program(self, words: Any) -> None:
        with open(words[-1], "r+") as file:
            self.given.append(file.read())
            if (text := self.texts.pop(0)) is not None:
                file.seek(0)
                file.truncate()
                file.write(text)

    def copy_to_clipboard(self, text: str) -> None: ...


@pytest.mark.parametrize("key", ["W", "D"])
@on_screen(size=(140, 40), board="causes")
async def test_what_was_said_of_a_cause_stays_until_it_is_taken(world: World, key: str) -> None:
    """The engine refuses, and then takes it."""
    causes(world, ILL)
    for end in ("/notes", "/dismiss"):
        world.answers[end] = (409, REFUSED | {"detail": "It is no more."})
    await world.shown()
    await world.press(key)
    line_with(await typed(world, WHY), "It is no more")
    await world.press(key)
    assert world.app.prompt.field.value == WHY
    row = {"at": at(0), "actor": "me", "reason": WHY, "text": WHY, "cameAgain": False}
    world.answers |= {"/notes": (200, row), "/dismiss": (200, row)}
    await world.press("enter", key)
    assert world.app.prompt.field.value == ""


@on_screen(size=(140, 40), board="causes")
async def test_why_a_cause_that_came_again_is_dismissed_stays(world: World) -> None:
    """It is on the list still: whoever presses the key again means it for the same reason."""
    causes(world, ILL)
    row = {"at": at(0), "actor": "me", "reason": WHY, "cameAgain": True}
    world.answers["/dismiss"] = (200, row)
    await world.shown()
    await world.press("D")
    line_with(await typed(world, WHY), "it has come again since it was seen")
    await world.press("D")
    assert world.app.prompt.field.value == WHY


@on_screen(size=(140, 40))
async def test_other_lines_stay_too(world: World) -> None:
    """Notes of runs, URLs, why something is held and how fast it is released; each for its own run
    or hold alone."""
    world.runs(run_row(1, "failed"), run_row(2, "failed", client="mart"))
    world.answers["/actions"] = (409, REFUSED | {"detail": "It cannot be."})
    world.answers["/runs"] = (409, REFUSED | {"detail": "It cannot be."})
    await world.shown()
    for keys, texts in (("W", [WHY]), ("M", ["http://a.test", "http://b.test"]), ("Hc", [WHY])):
        await world.press(*keys)
        for text in texts:
            lines = await typed(world, text)
        line_with(lines, "It cannot be")
        await world.press(*keys)
        for text in texts:
            assert world.app.prompt.field.value == text
            await world.press("enter")
    await world.press("j", "W")
    assert world.app.prompt.field.value == ""


@on_screen(size=(140, 40), board="causes")
async def test_z_takes_a_note_of_a_cause_back(world: World) -> None:
    """Found among the others by when, by whom and what; one that is gone is left alone."""
    mine = NoteRow(at(0), "me", "known")
    other = NoteRow(at(-9), "ana", "known")
    causes(world, ILL)
    world.answers["/notes"] = (200, msgspec.to_builtins(mine))
    await world.shown()
    for notes, told in (
        ((other, mine), "taken back: the note of cause 92d9401c"),
        ((other,), "it is not there any more"),
    ):
        await world.press("W")
        line_with(await typed(world, "known"), "noted: cause 92d9401c · z takes it back")
        listed = CauseList((replace(ILL, notes=notes),), 60, 300_000)
        world.answers["/causes"] = (200, msgspec.to_builtins(listed))
        world.answers["/remove"] = (200, msgspec.to_builtins(mine))
        line_with(await world.press("z"), told)
    removed = [path for path, _ in world.posts if path.endswith("/remove")]
    assert removed == ["/api/v1/causes/92d9401c/notes/2/remove"]


@on_screen(size=(140, 40))
async def test_a_note_of_a_run_stays(world: World) -> None:
    """It is part of the record: said when it is written, and when it is to be taken back."""
    run = failed(world)
    answers(world, run, "note")
    await world.press("W")
    line_with(await typed(world, "known"), "it stays: W writes another")
    line_with(await world.press("z"), "a note of a run is part of its record, and stays")


def test_so_much_is_kept() -> None:
    """The acts that were typed for last; of one more the first is forgotten."""
    drafts = Drafts(None)  # type: ignore[arg-type]
    acts = [Act("skip", f"{number}") for number in range(ACTS_MAX + 1)]
    for act in acts[:-1]:
        drafts.keep(act, "reason", act.target)
    assert drafts.of(acts[0], "reason") == "0"
    drafts.keep(acts[-1], "reason", "x")
    assert [drafts.of(act, "reason") for act in acts[:2]] == [None, "1"]
    drafts.keep(acts[1], "reason", " ")
    assert drafts.of(acts[1], "reason") is None
    drafts.keep(acts[2], "document", "{}")
    drafts.done(acts[2])
    assert drafts.of(acts[2], "reason") is drafts.of(acts[2], "document") is None
