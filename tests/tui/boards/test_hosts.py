"""What waits at each host and why: in the words of `atomic status` and `atomic limits`."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runs.limits.gates import WaitsFor
from engine.wire import status_of
from tests.tui.on_screen import World, at, line_with, on_screen, showing
from tests.tui.support import NOW
from tui.boards.cells import Seen
from tui.boards.hosts import (
    MEANS,
    flight_cell,
    waits_cell,
    waits_in_short,
    waits_in_words,
    why_cell,
)
from tui.data.hosts import Host, hosts_of

LIMITS = {
    "bodyBytesMax": 1, "answerBytesMax": 1, "jsonDepthMax": 1, "stepsPerRunMax": 1, "depthMax": 1,
    "inFlightMax": 1, "inFlightPerHostMax": 512, "workflowsInFlightPerHostMax": 0,
    "runsInMemoryMax": 1, "memoryBytesMax": 1, "connectionsMax": 1,
}  # fmt: skip
HOLD = {"kind": "client", "name": "a", "since": at(0), "actor": "ada", "waiting": 4}


def row(**more: Any) -> dict[str, Any]:
    """A host as the status tells of it."""
    return {"host": "app:9000", "ended": 0, "succeeded": 0, "p95Ms": None, "byMinute": [],
            "inFlight": 0, "queued": 0} | more  # fmt: skip


def host(**more: Any) -> Host:
    (found,) = hosts_of(status_of({"hosts": [row(**more)], "limits": LIMITS})).values()
    return found


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"inFlight": 3}, ("3", "plain")), ({}, ("0", "dim")),
        ({"inFlightMax": 20}, ("0/20", "dim")), ({"inFlight": 20, "inFlightMax": 20},
                                                  ("20/20", "plain")),
        ({"inFlight": 512, "waitsFor": {"place": 1}}, ("512/512", "plain")),
        ({"inFlight": 4_000, "waitsFor": {"place": 1}, "inFlightMax": 10_000},
         ("4.0k/10k", "plain")),
        ({"inFlight": 512, "waitsFor": {"rate": 1}}, ("512", "plain")),
    ],
)  # fmt: skip
def test_in_flight_of_how_many(more: dict[str, Any], told: tuple[str, str]) -> None:
    """Where a limit is set for the host, or the engine's is waited for."""
    assert flight_cell(host(**more)) == told
    assert len(told[0]) <= 9


def test_what_its_attempts_failed_with() -> None:
    """Of the minutes that the other figures are of, the most first; an engine of before does not
    tell."""
    results = {"2xx": [0, 3, 3], "5xx": [9, 0, 2], "connection-refused": [0, 1_100, 0]}
    told = host(byMinute=[[1_103, 3], [5, 3]], results=results)
    assert why_cell(told) == ("connection-refused 1.1k, 5xx 2", "plain")
    assert why_cell(host(byMinute=[[5, 3]])) == ("—", "dim")


@on_screen(size=(220, 60))
async def test_a_wide_board_says_why_attempts_failed(world: World) -> None:
    """Where there was nothing: at 80 columns other figures have the room."""
    results = {"2xx": [3], "5xx": [2]}
    world.live(hosts=[row(byMinute=[[5, 3]], ended=5, succeeded=3, results=results)])
    lines = await world.press("4")
    line_with(lines, "FAILED WITH")
    assert line_with(lines, "app:9000").rstrip().endswith("5xx 2")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, ("—", "dim")),
        ({"waitsFor": {"rate": 12}}, ("rate", "backing-off")),
        ({"waitsFor": {"rate": 3, "place": 12, "ramp": 0}}, ("place 12, rate 3", "backing-off")),
        ({"breakerSince": at(-62)}, ("breaker open", "alarm")),
        ({"breakerSince": at(-62), "waitsFor": {"breaker": 9}}, ("breaker", "alarm")),
        ({"breakerSince": at(-62), "waitsFor": {"ramp": 9}}, ("breaker open, ramp", "alarm")),
    ],
)
def test_what_is_waited_for(more: dict[str, Any], told: tuple[str, str]) -> None:
    """By reason, of most first; and that a breaker is open though nobody waits."""
    assert waits_cell(host(**more)) == told


def test_why_it_waits_in_words() -> None:
    """Each with the limit that it is, as `atomic limits` calls it."""
    found = host(
        inFlightMax=20, callsPerS=0.5, breakerSince=at(-62),
        waitsFor={"breaker": 4, "rate": 3, "place": 1, "retry-budget": 2, "a-new-one": 5},
    )  # fmt: skip
    assert waits_in_words(found, Seen(NOW)) == [
        "breaker open for 1m02: one attempt a second is tried",
        "5 wait for a-new-one",
        "4 wait for breaker",
        "3 wait for rate (calls_per_s 0.5)",
        "2 wait for retry-budget (its host fails, and enough of its calls are retries)",
        "1 waits for place (in_flight_max 20)",
    ]
    assert waits_in_words(host(), Seen(NOW)) == []


def test_each_reason_that_there_is_has_its_words() -> None:
    """A new one of the engine's is shown as it is, until it is explained here."""
    assert {*MEANS, "rate", "breaker"} == {why.value for why in WaitsFor}


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        ({}, ""), ({"place": 0, "rate": 0}, ""), ({"place": 1, "rate": 0}, "1 waits for place"),
        ({"rate": 3, "breaker": 1_200}, "1,203 wait for breaker, rate"),
        ({"rate": 3, "breaker": 12, "ramp": 1}, "16 wait for breaker, rate, …"),
    ],
)  # fmt: skip
def test_how_much_waits_in_all(waiting: dict[str, int], told: str) -> None:
    """In a few words, for the top line."""
    assert waits_in_short(waiting) == told


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"waitingFor": {"place": 12}}, "12 wait for place"),
        ({"waitingFor": {"release": 4}}, "4 wait for release"),
        ({"waitingFor": {"release": 4}, "holds": [HOLD]}, ""),
        ({"waitingFor": {"release": 4, "rate": 1}, "holds": [HOLD]}, "1 waits for rate"),
        ({"waitingFor": {"release": 4}, "holds": [HOLD, HOLD | {"name": "b"}]},
         "4 wait for release"),
        ({"waitingFor": {"place": 0}}, ""), ({}, ""),
    ],
)  # fmt: skip
def test_the_top_line_says_what_waits(status: dict[str, Any], told: str) -> None:
    """When anything does. What waits under the one hold that there is stands beside that."""

    async def test(world: World) -> None:
        world.live(**status)
        top = (await world.shown())[0]
        assert told in top
        assert bool(told) is ("wait for" in top or "waits for" in top)

    showing(test, size=(100, 24))


@on_screen(size=(120, 24))
async def test_the_board_says_what_waits_and_why(world: World) -> None:
    """In a column; and in whole sentences of the host under the cursor."""
    waits = {"queued": 3, "waitsFor": {"rate": 3}, "callsPerS": 2, "inFlight": 1, "inFlightMax": 4}
    world.live(hosts=[row(**waits), row(host="b")], limits=LIMITS)
    lines = await world.press("4")
    assert line_with(lines, "▌app:9000").split()[-4:] == ["1/4", "3", "rate", "—"]
    assert "2 hosts · 3 wait for rate (calls_per_s 2)" in line_with(lines, "2 hosts")
    assert "rate" not in line_with(await world.press("j"), "2 hosts")
