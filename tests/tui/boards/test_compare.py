"""Two runs beside each other: data, text and screen."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from engine.wire import AttemptRow, RunTree
from tests.tui.golden import same
from tests.tui.on_screen import World, at, line_with, on_screen, run_row, step_row
from tests.tui.support import NOW
from tui.boards.cells import Seen, text_of
from tui.boards.looks import in_ascii
from tui.boards.run.bodies import ShownBody
from tui.boards.run.compare import comparison, pairs
from tui.boards.run.differ import Found, body_lines
from tui.data.model import run_of, step_of
from tui.data.tree import Tree
from tui.text.sanitize import width

LEFT, RIGHT = run_row(1, "completed"), run_row(2, "failed")


def tree(run: Any, *steps: Any) -> Tree:
    """A run with these steps."""
    return Tree(run_of(run), {step.id: step_of(step) for step in steps})


def ended(
    run: Any, name: str | None, status: str, http_status: int, tries: int = 1, **more: Any
) -> Any:
    """A step that has ended, a second for each of its tries."""
    rows = tuple(
        AttemptRow(n, 1, "success" if n == tries and status == "completed" else "failure",
                   at(n), at(n + 1), http_status)
        for n in range(1, tries + 1)
    )  # fmt: skip
    return step_row(
        run.id, name, status, attempts=tries, attempt_rows=rows, http_status=http_status,
        ended_at=at(tries + 1), **more,
    )  # fmt: skip


def both() -> tuple[Tree, Tree]:
    """The second charged at the fourth try, failed to ship, and never notified."""
    left = tree(
        LEFT,
        ended(LEFT, None, "completed", 200),
        ended(LEFT, "reserve", "completed", 200),
        ended(LEFT, "charge", "completed", 200),
        ended(LEFT, "ship", "completed", 201, parent_id=f"{LEFT.id}-charge"),
        ended(LEFT, "notify", "completed", 200),
    )
    right = tree(
        RIGHT,
        ended(RIGHT, None, "failed", 502),
        ended(RIGHT, "reserve", "completed", 200),
        ended(RIGHT, "charge", "completed", 200, 4),
        ended(RIGHT, "ship", "failed", 422, parent_id=f"{RIGHT.id}-charge", error="http-status"),
        step_row(RIGHT.id, "refund", "backing-off", due_at=at(9), attempts=0),
    )
    return left, right


@pytest.mark.parametrize("cells", [75, 135])
def test_a_comparison_as_text(cells: int) -> None:
    """What went otherwise comes first; a step that one of them lacks has nothing beside it."""
    lines = comparison(*both(), cells, Seen(NOW))
    told = [text_of(line) for line in lines]
    assert max(map(width, told)) <= cells
    text = "\n".join(line.rstrip() for line in told) + "\n"
    same(f"compare-{cells}", text)
    same(f"compare-{cells}-ascii", in_ascii(text))


def test_steps_are_paired_by_name_and_key() -> None:
    """The same key is beside the same, whatever the order; other keys of a name in their order."""
    left = tree(
        LEFT, *(ended(LEFT, name, "completed", 200) for name in (None, "b", "a", "x1", "x2"))
    )
    right = tree(RIGHT, *(ended(RIGHT, name, "completed", 200) for name in (None, "a", "b", "y1")))
    for side in (left, right):
        for id, step in side.steps.items():
            if step.name[0] in "xy":
                side.steps[id] = msgspec.structs.replace(step, name="x")
    found = [
        (pair.left and pair.left.step_key, pair.right and pair.right.step_key)
        for pair in pairs(left, right)
    ]
    assert found == [("order", "order"), ("b", "b"), ("a", "a"), ("x1", "y1"), ("x2", None)]
    assert [pair.differs for pair in pairs(left, right)] == [False] * 4 + [True]


@on_screen()
async def test_d_compares_two_marked_runs(world: World) -> None:
    """Those that are not known are read; with another number of marks it is said what to do."""
    rows = [run_row(1, "completed"), run_row(2, "failed"), run_row(3)]
    world.runs(*rows)
    world.tree(rows[0], ended(LEFT, None, "completed", 200))
    read = RunTree(rows[1], (ended(RIGHT, None, "failed", 500),), at(0))
    world.answers[rows[1].id] = (200, msgspec.to_builtins(read))
    await world.shown()
    line_with(await world.press("d"), "mark two runs with space, then d compares them: 0 are")
    lines = await world.press("space", "space", "d")
    assert "Compare two runs" in lines[0]
    line_with(lines, "1 step, 1 differs")
    line_with(lines, "✓ completed   1   1m02    ✗ failed      1   1m02")
    await world.press("escape")
    line_with(await world.press("space", "d"), "3 are marked")
    assert world.posts == []


def bodies(world: World, *, payloads: tuple[Any, Any], answers: tuple[Any, Any]) -> None:
    """Two runs that have ended, the cursor on the first, each with a payload and an answer."""
    tries = (AttemptRow(1, 1, "success", at(1), at(2), 200),)
    rows = [run_row(1, "completed"), run_row(2, "completed")]
    world.bodies_as = "application/json"
    world.runs(*rows)
    for row, payload, answer in zip(rows, payloads, answers, strict=True):
        charge = ended(row, "charge", "completed", 200)
        root = step_row(row.id, None, "completed", attempt_rows=tries, ended_at=at(3))
        world.tree(row, root, charge)
        for step in (root.id, charge.id):
            world.answers[f"/steps/{step}/payload"] = (200, payload)
            world.answers[f"/steps/{step}/attempts/1/response"] = (200, answer)


@on_screen(size=(120, 30))
async def test_payloads_and_answers_are_compared(world: World) -> None:
    """By lines, side by side; secrets are hidden; `[` and `]` go round the steps, `s` back."""
    same = {"total": 9, "currency": "EUR"}
    bodies(world, payloads=({"a": 1, "password": "x"}, {"a": 2, "password": "y"}),
           answers=(same, same))  # fmt: skip
    await world.shown()
    lines = await world.press("space", "space", "d")
    assert "p payloads · b answers · j k scroll · esc closes" in lines[-1]
    lines = await world.press("p")
    assert "Compare two runs: payloads of order · 1 of 2" in lines[0]
    assert "s steps · b answers · [ ] other steps · j k scroll · esc closes" in lines[-1]
    line_with(lines, "- order 00000001: 25 B · application/json · 1 value redacted")
    _, left, right, _ = line_with(lines, '"a": 1').split("│")
    assert (left.strip(), right.strip()) == ('"a": 1,', '"a": 2,')
    line_with(lines, '"password": "••••"')
    lines = await world.press("b")
    line_with(lines, "the same")
    assert [line_with(lines, '"total": 9')]
    assert "answers of charge · 2 of 2" in (await world.press("right_square_bracket"))[0]
    assert "answers of order · 1 of 2" in (await world.press("right_square_bracket"))[0]
    assert "answers of charge · 2 of 2" in (await world.press("left_square_bracket"))[0]
    line_with(await world.press("s"), "2 steps, 0 differ")
    await world.press("escape")
    assert world.posts == []


@on_screen()
async def test_where_it_is_narrow_lines_stand_below_each_other(world: World) -> None:
    """Each with its sign, as colours are not all there is."""
    bodies(world, payloads=({"a": 1, "b": 2}, {"a": 1, "b": 3}), answers=({}, {}))
    await world.shown()
    lines = await world.press("space", "space", "d", "p")
    at = lines.index(line_with(lines, '-   "b": 2'))
    assert '+   "b": 3' in lines[at + 1]
    assert '    "a": 1' in lines[at - 1]


@on_screen(size=(120, 30))
async def test_bodies_are_for_a_token_that_may_see_them(world: World) -> None:
    """Else it is said what that takes, and nothing is asked for; what was not kept is said too."""
    bodies(world, payloads=({}, {}), answers=({}, {}))
    world.live(token={"name": "reader", "role": "read", "client": None})
    await world.shown()
    await world.press("space", "space", "d")
    for path in [*world.answers]:
        del world.answers[path]  # a request would be an AssertionError
    told = "00000002: this token may not see bodies (role read): that takes the role operate"
    line_with(await world.press("p"), told)
    world.live()
    problem = {"type": "/problems/not-found", "title": "Not found", "detail": "No body is kept."}
    world.answers["/payload"] = (404, problem)
    line_with(await world.press("p"), "payload: Not found: No body is kept")


def test_two_bodies_in_lines() -> None:
    """The same is shown once; what differs in white space alone is said to; one alone is shown."""

    def body(text: str) -> ShownBody:
        return ShownBody(text.encode(), "application/json", len(text), len(text), len(text))

    names = ("order 1", "order 2")
    for cells in (75, 150):

        def told(left: Found, right: Found, *, cells: int = cells) -> list[str]:
            return [text_of(line) for line in body_lines(left, right, names, cells)[3:]]

        assert told(body('{"a":1}'), body('{"a":1}')) == ["the same", "{", '  "a": 1', "}"]
        assert told(body('{"a":1}'), body('{ "a": 1 }')) == ["the same, but for white space"]
        assert told("it has no such step", body("[1]")) == ["[", "  1", "]"]
        assert told("no", "no") == []
        long = json.dumps({"text": "y" * 200 + "a"}), json.dumps({"text": "y" * 200 + "b"})
        shown = "\n".join(told(*map(body, long)))
        assert 'a"' in shown, "what differs is not cut off"
        assert 'b"' in shown
        many = [json.dumps(list(range(start, start + 2_001))) for start in (0, 1)]
        assert told(*map(body, many))[-1] == "more than 2,000 lines are not compared"


def test_names_and_tries_have_the_room_that_they_need() -> None:
    """`10/11` is not cut beside free cells; what is left over says how the last attempts went."""
    left, right = both()
    long = "the vendor does not answer, and has not for the last three attempts of this order"
    more: dict[str, Any] = {"parent_id": RIGHT.id, "retries_max": 10, "excerpt": long}
    failed = ended(RIGHT, "ship", "failed", 502, 10, **more)
    right.steps[failed.id] = step_of(failed)
    for cells in (75, 110, 250):
        lines = [text_of(line) for line in comparison(left, right, cells, Seen(NOW))]
        assert max(map(width, lines)) <= cells
        assert [line for line in lines if " 10 " in line or "10/11" in line]
        assert not [line for line in lines if "10/…" in line]
    assert [line for line in lines if long in line]


@on_screen()
async def test_d_says_what_cannot_be_read(world: World) -> None:
    """A run that the engine does not know any more."""
    world.runs(run_row(1), run_row(2))
    problem = {"type": "x", "title": "No", "status": 404, "detail": "It has gone."}
    world.answers["/runs/" + run_row(1).id] = (404, problem)
    await world.shown()
    line_with(await world.press("space", "space", "d"), "It has gone")
