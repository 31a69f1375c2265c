"""Payloads and answers on a screen of their own."""

from __future__ import annotations

import asyncio
import io
import re

import httpx

from engine.wire import AttemptRow
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, showing, step_row
from tui.boards.run.bodies import FIRST_BYTES
from tui.data.inputs import Input
from tui.data.record import Recorder
from tui.screen.dialogs.body import BodyScreen
from tui.screen.widgets.lines import Lines

SECRET = "hunter2-secret"


def answered(number: int, status: int) -> AttemptRow:
    return AttemptRow(number, 1, "failure", at(-5), at(-3), status)


def fill(world: World) -> None:
    """A run with three attempts, of which the second got no answer."""
    run = run_row(1, "failed")
    lost = AttemptRow(2, 1, "failure", at(-5), at(-3), None, "connection-refused: no")
    tries = (answered(1, 500), lost, answered(3, 503))
    world.runs(run)
    world.tree(run, step_row(run.id, None, "failed", attempts=3, attempt_rows=tries))
    world.answers["/attempts/1/response"] = (200, b'{"order":1,"error":"busy"}')
    world.answers["/attempts/3/response"] = (200, b'{"order":1,"error":"closed"}')
    world.answers["/payload"] = (200, {"order": 1, "password": SECRET})


def ranged(world: World, data: bytes, asked: list[str]) -> None:
    """The payload is this, and given in the ranges that are asked for."""

    async def answer(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/response"):  # of which the inspector reads the beginning
            asked.append(request.headers["range"])
        if world.answers_after is not None:
            await world.answers_after.wait()
        first, last = map(int, re.findall(r"\d+", request.headers["range"]))
        part = data[first : last + 1]
        headers = {
            "content-range": f"bytes {first}-{first + len(part) - 1}/{len(data)}",
            "atomic-content-type": "application/json",
            "atomic-full-size": f"{len(data)}",
        }
        return httpx.Response(206, content=part, headers=headers)

    assert world.app.client is not None
    world.app.client._exchange._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))


@on_screen()
async def test_a_body_that_is_closed_before_it_is_read(world: World) -> None:
    """`b`, and `q` soon after it: what is read then is for nobody, and nothing breaks."""
    fill(world)
    await world.open_first()
    world.answers_after = asyncio.Event()
    await world.pilot.press("b")
    await world.app.screen.query("#read").remove()  # which goes before the screen does
    world.answers_after.set()
    await world.press("q")
    assert world.app.is_running
    assert world.app.looking.view == "run"


@on_screen()
async def test_the_answer_to_any_try_is_shown(world: World) -> None:
    """The last one first; `[` and `]` go to the others that were answered, and to the payload. The
    title says which it is."""
    fill(world)
    lines = await world.open_first("b")
    assert "order: answer to try 3 · 503 · 2 of 2 · raw" in lines[0]
    line_with(lines, "closed")
    assert "no answer to a later try" in (await world.press("right_square_bracket"))[-1]
    lines = await world.press("left_square_bracket")
    assert "answer to try 1 · 500 · 1 of 2" in lines[0]
    line_with(lines, "busy")
    lines = await world.press("left_square_bracket")
    assert "order: payload" in lines[0]
    assert "nothing before the payload" in (await world.press("left_square_bracket"))[-1]
    await world.press("escape")
    assert len(world.app.screen_stack) == 1


@on_screen()
async def test_m_shows_it_in_other_ways(world: World) -> None:
    """As it came, as hex, and beside the answer before it, where there is one."""
    fill(world)
    world.answers["/attempts/3/response"] = (200, {"order": 1, "error": "closed"})
    await world.open_first("b")
    line_with(await world.press("m"), "00000000  7b 22")
    lines = await world.press("m")
    assert "· diff" in lines[0]
    line_with(lines, "-{")
    line_with(lines, "+{")
    line_with(await world.press("left_square_bracket"), '"busy"')
    assert "diff" not in (await world.shown())[0]


@on_screen()
async def test_keys_that_come_before_the_body_is_read(world: World) -> None:
    """They do what they were meant for once it is there: `m m` goes on by two looks, `G` to its
    end. What was meant for another try's answer is not done to this one."""
    fill(world)
    await world.open_first()
    world.answers_after = asyncio.Event()
    await world.pilot.press("b", "m", "m")
    world.answers_after.set()
    await world.works_end()
    assert "· diff" in (await world.shown())[0]
    await world.press("escape")

    world.answers["/attempts/1/response"] = (200, b"first\n" * 100 + b"END")
    world.answers["/attempts/3/response"] = (200, b"third\n" * 100 + b"END")
    world.answers_after = asyncio.Event()
    await world.pilot.press("b", "k", "G")
    world.answers_after.set()
    await world.works_end()
    line_with(await world.shown(), "END")
    world.answers_after = asyncio.Event()
    await world.pilot.press(
        "left_square_bracket", "G", "left_square_bracket", "right_square_bracket"
    )
    world.answers_after.set()
    await world.works_end()
    assert "END" not in "".join(await world.shown())


@on_screen()
async def test_a_second_m_in_one_piece_with_the_first(world: World) -> None:
    """Goes on by another look, and scrolls what is shown then."""
    fill(world)
    world.answers["/attempts/3/response"] = (200, b"third\n" * 100 + b"END")
    await world.open_first("b")
    lines = await world.press_at_once("m", "m", "G")
    assert "· diff" in lines[0]
    line_with(lines, "+END")


@on_screen()
async def test_an_engine_without_the_body_is_told(world: World) -> None:
    """In place of it; the other ones can still be looked at."""
    fill(world)
    problem = {"type": "x", "title": "No", "status": 404, "detail": "No body was recorded."}
    world.answers = {"/3/response": (404, problem), **world.answers}
    line_with(await world.open_first("b"), "No body was recorded")
    line_with(await world.press("left_square_bracket"), "busy")
    await world.press("escape")
    world.answers["/3/response"] = (200, b"closed")
    world.answers = {"/1/response": (404, problem), **world.answers}
    await world.press("b")
    await world.press("m")
    line_with(await world.press("m"), "No body was recorded")
    line_with(await world.press("m"), "closed")


def test_a_long_body_is_read_in_parts() -> None:
    """Of five megabytes in one line the first 64 KiB are read; at their end more is, and what was
    looked at stays where it is."""
    asked: list[str] = []

    async def test(world: World) -> None:
        fill(world)
        ranged(world, b'{"text":"' + b"x" * 5_242_880 + b'"}', asked)
        lines = await world.open_first("p")
        line_with(lines, "5.0 MiB · application/json · the first 64.0 KiB shown")
        assert asked == [f"bytes=0-{FIRST_BYTES - 1}"]
        lines = await world.press("G")
        assert asked[1:] == [f"bytes={FIRST_BYTES}-{2 * FIRST_BYTES - 1}"]
        shown = world.app.screen.query_one(Lines)
        assert 0 < shown.scroll_offset.y < shown.max_scroll_y
        lines = await world.press("G")
        assert f"bytes={2 * FIRST_BYTES}-{4 * FIRST_BYTES - 1}" in asked
        await world.press("j")
        line_with(await world.press("g"), "the first 256.0 KiB shown")

    showing(test)


@on_screen()
async def test_more_is_read_once_however_often_it_is_asked_for(world: World) -> None:
    """A key that is held down at the end does not begin the reading anew, and with another look it
    goes on."""
    asked: list[str] = []
    fill(world)
    ranged(world, b"x" * 3 * FIRST_BYTES, asked)
    await world.open_first("p")
    world.answers_after = asyncio.Event()
    await world.pilot.press("G", "j", "j")
    assert "reading more" in (await world.shown())[-1]
    assert asked == ["bytes=0-65535", "bytes=65536-131071"]
    await world.pilot.press("m")
    world.answers_after.set()
    await world.works_end()
    lines = await world.shown()
    assert "· hex" in lines[0]
    line_with(lines, "the first 128.0 KiB shown")


def test_secrets_are_on_no_screen_and_in_no_recording() -> None:
    """Neither in what is drawn, in any look, nor in a picture of it; nothing of a body is recorded.
    With --no-redact it is shown."""
    file = io.BytesIO()

    async def test(world: World) -> None:
        recorder = Recorder(file, 0.0, 0)
        apply = world.store.apply

        def take(dirty: Input) -> None:
            recorder.record(dirty, 0.0)
            apply(dirty)

        world.store.apply = take  # type: ignore[method-assign]
        fill(world)
        lines = await world.open_first("p")
        for _ in range(3):
            assert SECRET not in "".join(lines)
            assert SECRET not in world.app.export_screenshot()
            lines = await world.press("m")
        assert "1 value redacted" in "".join(lines)
        assert SECRET.encode() not in file.getvalue()
        assert b'"tree"' in file.getvalue()

    showing(test)

    async def bare(world: World) -> None:
        fill(world)
        line_with(await world.open_first("p"), SECRET)

    showing(bare, redact=frozenset())


@on_screen(ascii_only=True)
async def test_the_mask_in_ascii_is_stars(world: World) -> None:
    """Stars."""
    fill(world)
    line_with(await world.open_first("p"), '"password": "****"')


@on_screen()
async def test_another_width_cuts_the_lines_anew(world: World) -> None:
    """On a narrower screen nothing is cut off."""
    fill(world)
    world.answers["/payload"] = (200, {"text": "x" * 70 + "END"})
    await world.open_first("p")
    await world.pilot.resize_terminal(60, 20)
    await world.works_end()
    line_with(await world.shown(), "END")
    assert isinstance(world.app.screen, BodyScreen)


@on_screen()
async def test_a_text_is_found_in_a_body(world: World) -> None:
    """Without a pager, so in a browser too: `/`, then `n` and `N` go round; `esc` in the field
    closes the field alone."""
    fill(world)
    world.answers["/attempts/3/response"] = (200, "\n".join(f"k{n} x" for n in range(90)).encode())
    await world.open_first("b")
    lines = await world.press("slash", "k", "8", "enter")
    line_with(lines, "line 1 of 11 with k8 · n N go on")
    line_with(lines, "│ k8 x")
    line_with(await world.press("n"), "line 2 of 11")
    line_with(await world.press("N", "N"), "line 11 of 11")
    await world.press("slash", "z", "escape")
    assert isinstance(world.app.screen, BodyScreen)
    line_with(await world.press("n"), "line 1 of 11 with k8")
    await world.press("slash")
    line_with(await world.press(*"zz", "enter"), "nothing of what was read has 'zz'")
    await world.press("escape")
    assert not isinstance(world.app.screen, BodyScreen)
