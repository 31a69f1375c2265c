"""What a person does in the place of an endpoint: written, explained, looked at, done once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.tui.act.support import Editor, Writes, answers, edits, failed, says, typed
from tests.tui.on_screen import World, line_with, showing
from tui.act.change.edit import NotEdited, edited, fault_of
from tui.act.open import open_run


def test_what_is_no_json_comes_back_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file, and the editor begins there; what was written is kept."""
    monkeypatch.setenv("EDITOR", "vim -n")
    editor = Editor(says('{\n  "paid": tru\n}'), says('{"paid": true}'))
    assert edited(editor, ["The result of charge."], "") == '{"paid": true}'
    assert editor.given[0] == "# The result of charge.\n"
    assert editor.given[1].splitlines() == [
        "# The result of charge.", "# line 2: invalid character", "{", '  "paid": tru', "}",
    ]  # fmt: skip
    assert editor.words[0][:-1] == ["vim", "-n"]
    assert editor.words[1][:-1] == ["vim", "-n", "+4"]
    assert not any(Path(words[-1]).exists() for words in editor.words)


def test_an_editor_that_knows_no_lines_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """`code --wait +4` would be a file of that name."""
    monkeypatch.setenv("EDITOR", "code --wait")
    editor = Editor(says("{"), says("1"))
    assert edited(editor, [], "") == "1"
    assert editor.words[1][:-1] == ["code", "--wait"]


@pytest.mark.parametrize(
    ("writes", "told"),
    [
        ([says("")], "the document is empty"),
        ([lambda given: ""], "the document is empty"),
        ([lambda given: given], "nothing was changed: nothing"),
        ([says("{"), lambda given: given], "nothing was changed, and it is still not JSON: line 1"),
    ],
)
def test_nothing_is_made_of_nothing(writes: list[Writes], told: str) -> None:
    """Empty, or as it was: the way out of an editor."""
    with pytest.raises(NotEdited, match=told):
        edited(Editor(*writes), ["About it."], '{"a": 1}\n')


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"a": 1}', None),
        ("{\n\n", (1, "it ends too early")),
        ('{"a": 1,\n "b": 1e}', (2, "invalid number")),
        ('{"a": \udcff}', (1, "invalid character")),
        ('["a",\n"\udcff"]', (2, "it is not UTF-8")),
    ],
)
def test_the_line_of_a_fault(text: str, fault: tuple[int, str] | None) -> None:
    """Counted from 1; a document that ends too early does so where its text does."""
    assert fault_of(text) == fault


# -- on the screen ---------------------------------------------------------------------------------


def test_a_result_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Written in the editor, with a reason; the old answer and the new beside each other, and what
    goes on; then it is sent, exactly as it was written, with the revision that was seen."""
    text = '{"charged": 12.50}'

    async def test(world: World) -> None:
        run = failed(world)
        world.answers["/response"] = (200, b'{"error":"declined","token":"hunter2"}')
        answers(world, run, "set-result", "notify")
        edits(monkeypatch, world, says(text))
        open_run(world.app, run.id, f"{run.id}-charge")
        await world.press()
        line_with(await world.press("S"), " reason ")
        assert world.posts == []
        lines = await typed(world, "the vendor says it is paid")
        line_with(lines, "Set the result?")
        line_with(lines, "why    the vendor says it is paid")
        changed = line_with(lines, '"charged": 12.50')
        assert '"error": "declined"' in changed
        line_with(lines, "goes on: notify")
        assert not any("hunter2" in line for line in lines)
        asked = {
            "action": "set-result", "step": f"{run.id}-charge", "ifRev": 7,
            "reason": "the vendor says it is paid", "result": {"charged": 12.5},
        }  # fmt: skip
        assert [body for _, body in world.posts] == [asked | {"dryRun": True}]
        world.clock.pass_s(1)
        lines = await world.press("y")
        line_with(lines, "result set: order")
        line_with(lines, "the run stays failed: R on it calls it again")
        assert [body for _, body in world.posts[1:]] == [asked]

    showing(test, size=(140, 40))


def test_a_step_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an editor; no reason, no skip."""

    async def test(world: World) -> None:
        run = failed(world)
        answers(world, run, "skip", status="paused")
        open_run(world.app, run.id, f"{run.id}-charge")
        await world.press()
        await world.press("K")
        line_with(await typed(world, "  "), "nothing was done, a reason is needed")
        await world.press("K")
        line_with(await typed(world, "x" * 501), "of at most 500 characters")
        await world.press("K")
        lines = await typed(world, "x" * 500)
        line_with(lines, "It ends with 204 and no answer, marked as skipped.")
        world.clock.pass_s(1)
        line_with(await world.press("y"), "the run is paused still: P lets it go on")
        assert world.posts[-1][1]["action"] == "skip"

    showing(test, size=(140, 40))


def payload(world: World, body: bytes, kind: str = "application/json", **headers: str) -> None:
    """What the run was posted with."""
    asked = world._answer

    async def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/payload"):
            return await asked(request)
        told = {"atomic-content-type": kind, "atomic-full-size": f"{len(body)}"} | headers
        return httpx.Response(200, content=body, headers=told)

    assert world.app.client is not None
    world.app.client._exchange._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))


def test_a_run_is_called_with_another_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The editor has the one before, secrets and all, and as it is to be read; numbers stay as they
    are written. The screen has no secret."""

    async def test(world: World) -> None:
        run = failed(world)
        payload(world, b'{"order":1.0,"token":"hunter2"}')
        answers(world, run, "rerun", run.id, "charge")
        editor = edits(monkeypatch, world, lambda given: given.replace("1.0", "2.0"))
        open_run(world.app, run.id)
        await world.press("A")
        assert editor.given[0].endswith('{\n  "order": 1.0,\n  "token": "hunter2"\n}\n')
        lines = await typed(world, "wrong order")
        line_with(lines, "Run again with another payload?")
        changed = line_with(lines, '"order": 2.0')
        assert '"order": 1.0' in changed
        line_with(lines, "2 steps run again")
        assert not any("hunter2" in line for line in lines)
        world.clock.pass_s(1)
        line_with(await world.press("y"), "running again: order")
        sent = {"action": "rerun", "ifRev": 3, "payload": {"order": 2.0, "token": "hunter2"}}
        assert json.dumps(sent)[1:-1] in json.dumps(
            {name: world.posts[-1][1][name] for name in sent}
        )

    showing(test, size=(140, 40))


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("text/plain", {}, "its payload is text/plain, not JSON"),
        ("application/json", {"atomic-redacted": "true"}, "hides a part of the payload"),
    ],
)
def test_a_payload_that_cannot_be_another(
    kind: str, more: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be lost is not edited."""

    async def test(world: World) -> None:
        run = failed(world)
        payload(world, b"{}", kind, **more)
        edits(monkeypatch, world)
        open_run(world.app, run.id)
        line_with(await world.press("A"), told)
        assert world.posts == []

    showing(test, size=(140, 40))


def test_what_a_step_is_called_with_comes_from_its_function() -> None:
    """That is said, and what else could be done is in the menu."""

    async def test(world: World) -> None:
        run = failed(world)
        open_run(world.app, run.id, f"{run.id}-charge")
        await world.press()
        line_with(await world.press("A"), "it is the run that is called with another")
        lines = await world.press("x")
        line_with(lines, " S  Set result")
        line_with(lines, " K  Skip ")
        line_with(lines, " A  Other payload")

    showing(test, size=(140, 40))


def test_a_result_needs_a_terminal() -> None:
    """In a browser there is no editor."""

    async def test(world: World) -> None:
        run = failed(world)
        open_run(world.app, run.id, f"{run.id}-charge")
        await world.press()
        line_with(await world.press("S"), "$EDITOR needs a terminal")

    showing(test, size=(140, 40))
