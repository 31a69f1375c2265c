"""`atomic runs`: filters, time, pages, and what a wrong filter is told."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec
import pytest

from engine.cli.filter import marked
from engine.cli.show.lists import run_list_lines
from engine.wire import RunRow
from tests.client.fake_engine import RUN, Atomic, FakeEngine, answer, refusal


def page(*runs: dict[str, Any], more: str | None = None) -> Any:
    """An answer of the list; what it counts is its own."""
    counted = {"total": len(runs), "totalIsEstimate": True}
    return answer({"runs": runs, "next": more, **counted})


def asked(engine: FakeEngine) -> list[str | None]:
    """The filters that were sent."""
    return [request.url.params.get("q") for request in engine.requests]


def test_filter_and_time_are_one_filter(atomic: Atomic, engine: FakeEngine):
    """Beside the other options, which are sent as they are."""
    atomic("runs", "--filter", "is:failed wf:o*", "--since", "12h", answers=[page()])
    atomic("runs", "--since", "1d2h", "--client", "shop", answers=[page()])
    atomic("runs", answers=[page()])
    assert asked(engine) == ["is:failed wf:o* age:<12h", "age:<1d2h", None]
    assert engine.requests[1].url.params["client"] == "shop"


def test_pages_of_a_filter_that_come_short_are_not_the_end(atomic: Atomic, engine: FakeEngine):
    """They are read on until there are as many as were asked for, or no more."""
    answers = [page(more="a"), page(RUN, more="b"), page(RUN)]
    result = atomic("runs", "--filter", "ada", answers=answers)
    assert result.stderr == "2 runs\n"
    answers = [page(RUN, more="a"), page(RUN, more="b")]
    result = atomic("runs", "--filter", "ada", "--limit", "2", "--json", answers=answers)
    found = json.loads(result.stdout)
    assert (found["total"], found["totalIsEstimate"], found["next"]) == (2, True, "b")
    answers = [page(RUN, RUN, more="a")]
    result = atomic("runs", "--filter", "ada", "--limit", "2", answers=answers)
    assert result.stderr == "2 runs; there may be more (--limit)\n"
    assert len(result.stdout.splitlines()) == 3


def test_a_wrong_filter_is_marked_where_it_is_wrong(atomic: Atomic):
    """A usage error, in the engine's words; its text cannot drive the terminal."""
    wrong = "`q`: `is:\x1bx` is none of completed."
    told = refusal("invalid-request", wrong, member="q", position=5)
    result = atomic("runs", "--filter", "wf:a is:\x1bx", answers=[told])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-3:] == [
        "Error: --filter: `is:\\u001bx` is none of completed.",
        "  wf:a is:\\u001bx",
        "       ^",
    ]


def test_a_fault_of_what_other_options_add_is_told_so(atomic: Atomic):
    """Twelve terms are as many as there may be, and `--since` is one."""
    told = refusal("invalid-request", "`q`: More than 12 terms.", member="q", position=4)
    result = atomic("runs", "--filter", "a b", "--since", "1h", answers=[told])
    assert "More than 12 terms. The other options that choose runs add one each." in result.stderr
    assert result.stderr.splitlines()[-1] == "     ^"


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "--filter", "a\udcff"),
        ("runs", "--workflow", "a\udcff"),
        ("show", "a\udcff"),
        ("pause", "01A", "--reason", "a\udcff"),
        ("bulk", "pause", "--filter", "a\udcff"),
    ],
)
def test_bytes_that_are_no_text(atomic: Atomic, arguments: tuple[str, ...]):
    """Come from the shell as they are, and are refused in words."""
    result = atomic(*arguments)
    assert result.exit_code == 2
    assert "This is no UTF-8 text: " in result.stderr
    assert "a\\udcff" in result.stderr


def test_what_else_is_refused_is_told_as_ever(atomic: Atomic):
    """An older engine that names no place, and what is no fault of the filter."""
    for told in (
        refusal("invalid-request", "`q`: bad"),
        refusal("invalid-request", "`sort`: bad", member="sort", position=1),
    ):
        result = atomic("runs", "--filter", "x", answers=[told])
        assert result.exit_code == 4
        assert "bad (400 invalid-request)" in result.stderr


@pytest.mark.parametrize("time", ["", "12", "h", "12x", "-1h", "1h ", "1234567s", "2026-11-23"])
def test_a_time_that_is_none(atomic: Atomic, time: str):
    """Is told before the engine is asked, with some that are."""
    result = atomic("runs", "--since", time)
    assert result.exit_code == 2
    assert "use 500ms, 30s, 15m, 12h, 90d or 1h30m" in result.stderr


@pytest.mark.parametrize(
    ("text", "at", "cells"),
    [("wf:x is:y", 5, 5), ("日本 x", 3, 5), ("e\u0301 x", 3, 2), ("x", 9, 1)],
)
def test_the_mark_stands_under_the_place(text: str, at: int, cells: int):
    """Also where characters are two cells wide, or none; at the end where the place is beyond."""
    assert marked(text, at) == f"  {text}\n  {' ' * cells}^"


def test_a_narrow_terminal_has_the_reasons_below() -> None:
    """A row of 250 characters is broken anywhere on one of 120; into a pipe a run is one line."""
    row = msgspec.convert(RUN | {"error": "http-status: answered 503"}, RunRow)
    wide = run_list_lines([row, row])
    assert len(wide) == 3
    longest = len(click.unstyle(wide[1]))
    assert run_list_lines([row, row], width=longest) == wide
    narrow = run_list_lines([row, row], width=longest - 1)
    assert len(narrow) == 5
    assert narrow[2] == narrow[4] == "    " + wide[1][wide[1].index("next try") :]
    assert wide[1].startswith(narrow[1])
