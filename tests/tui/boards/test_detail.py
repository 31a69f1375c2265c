"""What the inspector says of a step."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.text.times import rfc3339
from engine.wire import MoveRow, WaitRow
from tests.tui.golden import same
from tests.tui.scene import scene
from tests.tui.support import NOW, RUN, attempt_row, step_row, store_at, tree_read
from tui.boards.cells import Seen, text_of
from tui.boards.looks import in_ascii
from tui.boards.rows import BoardRows
from tui.boards.run.detail import ATTEMPTS_SHOWN_MAX, inspector
from tui.data.model import step_of
from tui.text.sanitize import width


def test_the_inspector_as_text() -> None:
    """How each step stands, whom it calls, every attempt, and what set the next one."""
    store = scene()
    rows = BoardRows(store)
    rows.seen_now()
    told = ""
    for step in store.trees[RUN].steps.values():
        told += (
            "\n".join(text_of(line).rstrip() for line in inspector(step, rows.seen, 58, roomy=True))
            + "\n\n"
        )
    same("inspector", told)
    same("inspector-ascii", in_ascii(told))


def told_of(cells: int = 74, *, roomy: bool = False, **more: Any) -> list[str]:
    """What the inspector says of a step."""
    store = store_at()
    store.apply(tree_read(step_row(**more)))
    return [
        text_of(line)
        for line in inspector(store.trees[RUN].steps[RUN], Seen(NOW), cells, roomy=roomy)
    ]


def test_the_inspector_says_why() -> None:
    """Why it is paused, because of whom it was cancelled, what it waits for."""
    assert "paused exhausted" in told_of(status="paused", pause_reason="exhausted")
    told = told_of(status="paused", pause_reason="unhandled-failure")
    assert "paused unhandled-failure" in told
    assert "R on the failed step opens that" in " ".join(map(str.strip, told))
    assert f"cause  {RUN}-x" in told_of(status="cancelled", cause_id=f"{RUN}-x")
    waits = told_of(status="pending", awaiting_post=True, generation=2)
    assert "starts when the workflow posts it again" in waits
    assert "gen    2" in waits
    timed = told_of(status="backing-off", due=9_000, delay_by="operator")
    assert "next   14:13:29, set by an operator" in timed
    why = WaitRow("breaker", "waits for app:9000, which fails: next probe in 0.4 s")
    waits = told_of(status="backing-off", due=-9_000, waits=why)
    assert "waits  for app:9000, which fails: next probe in 0.4 s" in waits
    assert not any(line.startswith("next") for line in waits)
    held = told_of(status="pending", waits=why, held_since=rfc3339(NOW))
    assert "held   maxElapsed stands still since 14:13:20" in held
    assert not any(line.startswith("waits") for line in held)
    assert "last   503" in told_of(status="backing-off", http_status=503, error="http-status")
    assert "last   tls-failed: expired" in told_of(status="failed", error="tls-failed: expired")


@pytest.mark.parametrize(
    ("status", "style"),
    [("waiting", "waiting"), ("backing-off", "failed"), ("failed", "failed"), ("paused", "failed")],
)
def test_who_was_sent_home_has_not_failed(status: str, style: str) -> None:
    """Its last attempt ended for a step below, and does not look like a failure."""
    store = store_at()
    store.apply(tree_read(step_row(status=status, error="suspended: until a child ends")))
    lines = inspector(store.trees[RUN].steps[RUN], Seen(NOW), 74, roomy=False)
    last = next(line for line in lines if text_of(line).startswith("last"))
    assert [part[1] for part in last if part[0].startswith("suspended")] == [style]


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (503, ""),
        (500, "; its post to /other was refused: not its own path"),
        (301, " with Location: /v2 (redirects are not followed)"),
    ],
)
def test_the_reason_of_an_answer_is_told_whole(status: int, more: str) -> None:
    """A refused post and a redirect's address, with the step and with its attempt."""
    error = f"http-status: answered {status}{more}"
    told = told_of(status="backing-off", http_status=status, error=error)
    assert f"last   {status}{more}" in told
    row = attempt_row(1, "failure", 0, 9, http_status=status, error=error)
    said = [line.strip() for line in told_of(attempts=[row], roomy=True)]
    assert (f"answered {status}{more}" in said) is bool(more)


def test_the_inspector_says_where_the_run_was_moved() -> None:
    """Of the root: the latest first, with when and by whom if that was kept."""
    moves = [MoveRow("http://a", f"http://b{n}") for n in range(4)]
    moves.append(MoveRow("http://b3", "http://c", rfc3339(NOW), "ana"))
    step = step_of(step_row())
    told = [text_of(line) for line in inspector(step, Seen(NOW), 74, moves=moves)]
    assert told[4:8] == [
        "moved  14:13:20 by ana http://b3 → http://c",
        "moved  http://a → http://b3",
        "moved  http://a → http://b2",
        "       … and 2 before",
    ]


def test_the_inspector_names_the_step_as_the_tree_does() -> None:
    """One of a fan-out is told from its siblings, and what is paused is said once."""
    assert told_of(step_key="index/us-2")[0].rstrip() == "index/us-2  ▸ running"
    assert told_of(status="paused")[0].rstrip() == "index  ◫ paused"


def test_the_heads_of_attempts_stand_over_them() -> None:
    """Each head begins where what it names does."""
    head, row = told_of(attempts=[attempt_row(1, "success", 0, 9, http_status=200)])[-2:]
    for name, told in (("started", "14:13:20"), ("took", "9ms"), ("result", "200")):
        assert head.index(name) == row.index(told)


def test_an_error_is_told_where_it_says_more_than_the_status() -> None:
    """Not "answered 503" once more below each 503."""
    row = attempt_row(1, "failure", 0, 9, http_status=503, error="http-status: answered 503")
    assert told_of(attempts=[row], roomy=True)[-1].endswith("503")
    row = attempt_row(1, "failure", 0, 9, error="tls-failed: expired")
    assert told_of(attempts=[row], roomy=True)[-1].strip() == "expired"


def test_the_inspector_of_many_attempts() -> None:
    """The latest of them; how many there were before is told."""
    tries = [attempt_row(n, "failure", n, n + 1) for n in range(1, 1_001)]
    told = told_of(attempts=tries, retries_max=2_000)
    assert told[-1] == "… and 800 before"
    assert told[-2].startswith(f" {1_001 - ATTEMPTS_SHOWN_MAX} ✗ ")


@pytest.mark.parametrize(
    ("status", "more", "told"),
    [
        ("running", {}, "   1 ▸ 14:13:20  0ms     in flight"),
        ("crash", {"ended": 9}, "   1 ⊘ 14:13:20  9ms     crash"),
        ("crash", {}, "   1 ⊘ 14:13:20  ?       crash"),
        ("late", {"ended": 9, "http_status": 200}, "   1 ⊘ 14:13:20  9ms     late 200"),
        ("odd", {"ended": 9}, "   1 ? 14:13:20  9ms     —"),
        (
            "failure",
            {"ended": 9, "http_status": 503, "delay_ms": 8_000, "delay_by": "retry-after"},
            "   1 ✗ 14:13:20  9ms     503  then 8.0s ← Retry-After",
        ),
    ],
)
def test_an_attempt_as_text(status: str, more: dict[str, Any], told: str) -> None:
    """What it came to, and what followed."""
    assert told_of(attempts=[attempt_row(1, status, **more)])[-1] == told


def test_attempts_stand_below_their_heads() -> None:
    """Each head begins where what it names does."""
    head, line = told_of(attempts=[attempt_row(1, "failure", ended=9, http_status=503)])[-2:]
    for title, told in (("started", "14:13:20"), ("took", "9ms"), ("result", "503")):
        assert head.index(title) == line.index(told), (head, line)
    assert head.index("try") + 2 == line.index("1")


def test_what_is_long_goes_on_below() -> None:
    """Addresses and errors are told whole, indented, up to four lines; `…` says there is more."""
    url = f"http://app:9000/{'x' * 99}"
    store = store_at()
    store.apply(tree_read(replace(step_row(), url=url)))
    step = store.trees[RUN].steps[RUN]
    told = [text_of(line) for line in inspector(step, Seen(NOW), 40)]
    at = told.index("POST   http://app:9000/")
    assert told[at + 1 : at + 4] == [f"       {'x' * left}" for left in (33, 33, 33)]
    error = "tls-failed: " + "the certificate has expired " * 20
    told = told_of(40, status="failed", error=error)
    at = told.index("last   tls-failed: the certificate has")
    assert told[at + 1].startswith("       expired the")
    assert told[at + 3].endswith("…")
    assert all(width(line) <= 40 for line in told)


def test_what_followed_an_attempt_goes_below_where_there_is_no_room() -> None:
    """And with room enough each attempt tells its own error."""
    error = "connection-refused: nobody listens at app:9000"
    attempt = attempt_row(1, "failure", ended=9, error=error, delay_ms=8_000,
                          delay_by="retry-after")  # fmt: skip
    assert told_of(50, attempts=[attempt])[-2:] == [
        "   1 ✗ 14:13:20  9ms     connection-refused",
        "       then 8.0s ← Retry-After",
    ]
    assert told_of(50, roomy=True, attempts=[attempt])[-2:] == [
        "       nobody listens at app:9000",
        "       then 8.0s ← Retry-After",
    ]
