"""The filter as it is typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.wire import CauseList, CauseRow, Reason
from tests.tui.scene import scene
from tests.tui.support import RUN, STEADY
from tui.data.filter import SUGGESTIONS_MAX, fault, is_empty, moves_with_time, seen_values, suggest
from tui.data.inputs import CausesRead

KNOWN = {"wf": ["order.fulfil", "order mail", 'o"x\\y'], "host": ["api.acme.io:443"]}


@pytest.mark.parametrize(
    "text",
    ["", "is:stuck", "wf:order* host:api.acme.io try:>3", "due:<1m !key:test* ada", 'wf:"a b"'],
)
def test_what_makes_sense_has_no_fault(text: str) -> None:
    """The same parser as the engine's says so."""
    assert fault(text) is None


@pytest.mark.parametrize(
    ("text", "at", "told"),
    [
        ("is:stuck wat:5", 9, "`wat:` is not known"),
        ("is:often", 0, "is none of"),
        ("due:1m", 0, "due"),
        ("try:>x", 0, "try"),
        ('ada wf:"a', 7, "not closed"),
        ("ada !", 5, "missing"),
        ("a" * 501, 0, "longer"),
    ],
)
def test_a_fault_says_what_and_where(text: str, at: int, told: str) -> None:
    """The caret stands under it before anything is asked for."""
    found = fault(text)
    assert found is not None
    assert found.at == at
    assert told in found.detail


def test_fields_and_values_are_suggested() -> None:
    """Whole filters, with what was typed before; nothing for what is complete."""
    assert suggest("h", KNOWN) == ["host:"]
    assert suggest("is:stuck c", KNOWN) == ["is:stuck client:", "is:stuck code:", "is:stuck cause:"]
    assert suggest("is:st", KNOWN) == ["is:stuck"]
    assert suggest("!is:com", KNOWN) == ["!is:completed"]
    assert suggest("host:", KNOWN) == ["host:api.acme.io:443"]
    assert suggest("host:api.acme.io:443", KNOWN) == []
    assert suggest("wf:order", KNOWN) == ["wf:order.fulfil", 'wf:"order mail"']
    assert suggest('wf:"order', KNOWN) == ["wf:order.fulfil", 'wf:"order mail"']
    assert suggest('is:live wf:"order m', KNOWN) == ['is:live wf:"order mail"']
    assert suggest("", KNOWN) == suggest("is:stuck ", KNOWN) == []
    assert suggest("key:x", KNOWN) == []


def test_reasons_that_were_seen_are_suggested() -> None:
    """Behind `error:`, whole and up to their colon, of runs, steps and causes."""
    store = scene()
    known = seen_values(store)
    assert known["error"] == []
    why = Reason("s", "card", 402, "http-status", "card_declined: insufficient funds")
    row = CauseRow("c", 2, 1, "", "", RUN, "order", "failed", None, why)
    store.apply(CausesRead(CauseList((row,), 2, 300_000)))
    known = seen_values(store)
    assert suggest("error:card", known) == [
        "error:card_declined", 'error:"card_declined: insufficient funds"'
    ]  # fmt: skip
    assert "error:" in suggest("is:failed e", known)[0]


@STEADY
@given(st.sampled_from(["wf", "key", "host", "error"]), st.lists(st.text(min_size=1, max_size=12)))
def test_a_suggested_value_can_be_used(name: str, values: list[str]) -> None:
    """Whatever characters a name has: what is suggested is a filter, and for that name."""
    for suggested in suggest(f"{name}:", {name: values}):
        assert fault(suggested) is None, suggested
    assert len(suggest(f"{name}:", {name: values})) <= SUGGESTIONS_MAX


def test_some_filters_move_with_time() -> None:
    """What they find changes although nothing happens."""
    assert moves_with_time("is:late")
    assert moves_with_time("wf:x !due:<1m")
    assert moves_with_time("age:>1h")
    assert not moves_with_time("is:live wf:age")
    assert not moves_with_time("due:?")


def test_empty() -> None:
    """A filter of blanks leaves everything, and is no filter for a bulk job."""
    assert is_empty("  ")
    assert not is_empty("is:live")
