"""What third parties write is shown and never obeyed."""

from __future__ import annotations

import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine import wire
from engine.wire import (
    BulkAnswer,
    CauseList,
    Event,
    Other,
    RetryPage,
    RunPage,
    RunTree,
    Status,
    status_of,
)
from tests.hostile_answers import HOSTILE, hostile, texts
from tests.tui.support import STEADY, FakeClock, standstill
from tui.boards.around.bars import health
from tui.boards.rows import BoardRows
from tui.data.inputs import StatusRead
from tui.data.store import Store
from tui.text.sanitize import (
    CUT,
    DEPTH_MAX,
    NUMBER_MAX,
    TEXT_CHARACTERS_MAX,
    clean,
    clip,
    fit,
    safe,
    width,
)

NEVER = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
anything = st.text(st.characters(), max_size=80)  # surrogates too


@pytest.mark.slow
def test_every_character_alone() -> None:
    """The whole of Unicode, one by one: printable, of one or two cells, or drawn on the last one.

    Rich draws with its own table of widths: what it takes for another width would shift the rest of
    the line, and so is not let through.
    """
    wrong = []
    for code in range(0x110000):
        shown = safe(chr(code))
        category = unicodedata.category(shown)
        if category in NEVER or not shown.isprintable() or width(shown) != cell_len(shown):
            wrong.append(hex(code))
    assert wrong == []


def test_markup_is_only_text() -> None:
    """Nothing here knows of markup: it passes as it is, for widgets that know none either."""
    for text in ("[/red]", "[@click=app.quit]x[/]", "[link='"):
        assert safe(text) == text


def test_long_texts_are_cut() -> None:
    """A name of a megabyte costs no more than one of a line."""
    shown = safe("x" * 1_000_000)
    assert len(shown) == TEXT_CHARACTERS_MAX
    assert shown.endswith(CUT)
    assert safe("x" * TEXT_CHARACTERS_MAX) == "x" * TEXT_CHARACTERS_MAX


# -- whole answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RunTree, RunPage, CauseList, RetryPage, BulkAnswer, Status])
def test_every_field_of_every_answer_is_cleaned(kind: type[msgspec.Struct]) -> None:
    """No member of any answer comes through as it was: also one that is added later."""
    dirty = hostile(kind)
    assert HOSTILE in texts(dirty)
    cleaned = clean(dirty)
    assert type(cleaned) is kind
    assert len(texts(cleaned)) == len(texts(dirty))
    assert set(texts(cleaned)) == {safe(HOSTILE)}


def test_hostile_rows_reach_every_field() -> None:
    """The rows that the test above fills are those of the wire, all of them."""
    rows = {name for name in wire.__all__ if name.endswith("Row")} | {"StepAt"}
    filled = set()

    def walk(value: Any) -> None:
        if isinstance(value, msgspec.Struct):
            filled.add(type(value).__name__)
            for name in value.__struct_fields__:
                walk(getattr(value, name))
        elif isinstance(value, tuple):
            for each in value:
                walk(each)

    for kind in (RunTree, RunPage, CauseList, RetryPage, Status):
        walk(hostile(kind))
    assert rows <= filled


def test_keys_of_mappings_are_cleaned() -> None:
    """Members of a status or event may be called anything."""
    dirty = {HOSTILE: [{"a": (HOSTILE, 1, None)}]}
    assert clean(dirty) == {safe(HOSTILE): [{"a": (safe(HOSTILE), 1, None)}]}


def test_what_is_nested_too_deeply_is_cut() -> None:
    """A thousand brackets do not use the stack up."""
    nested: Any = "x"
    for _ in range(100_000):
        nested = [nested]
    store = Store(FakeClock())
    store.apply(Event("1", "step", Other(run_id="r", step_id="s", members={"more": nested})))
    fact = store.events[0].fact
    assert isinstance(fact, Other)
    inner = fact.members["more"]
    depth = 0
    while isinstance(inner, list):
        (inner,) = inner
        depth += 1
    assert inner == CUT
    assert depth < DEPTH_MAX
    del store
    while isinstance(nested, list):  # else freeing it goes as deep
        (nested,) = nested


@pytest.mark.parametrize("count", [10**400, -(10**400), 1e308, -1e308])
def test_numbers_stay_within_what_can_be_told(count: float) -> None:
    """A count of hundreds of digits can neither be divided nor shown as a time."""
    host = {"host": "h", "ended": count, "succeeded": 5, "p95Ms": count, "inFlight": 0, "queued": 0,
            "byMinute": [[1, count]]}  # fmt: skip
    found = clean({"hosts": [host], "counts": (count, True)})
    assert found["counts"] == (NUMBER_MAX if count > 0 else -NUMBER_MAX, True)
    assert found["counts"][1] is True
    store = Store(FakeClock())
    status = status_of({"hosts": [host], "rates": {"finishedPerS": count}})
    store.apply(StatusRead(status, 0.0, 0.0))
    rows = BoardRows(store)
    for row_id in rows.ids("hosts"):
        assert rows.cells("hosts", row_id)
    assert health(store, rows.seen)


def test_the_top_line_says_which_host_stands_still() -> None:
    """One by its name, several by how many; whatever else a later engine says is left alone."""
    for told, said in (
        ([standstill("app:8000")], "  app:8000 stands still"),
        ([standstill("a"), standstill("b")], "  2 hosts stand still"),
        ([], None),
        ("odd", None),
        ([{"host": 1}, "odd"], None),
    ):
        store = Store(FakeClock())
        status = status_of({"standstills": told, "counts": {"running": 1}})
        store.apply(StatusRead(status, 0.0, 0.0))
        pieces = [piece.text for piece in health(store, BoardRows(store).seen)[0]]
        assert [text for text in pieces if "still" in text] == ([] if said is None else [said])


def test_the_top_line_says_that_the_store_cannot_be_written() -> None:
    """At once after how the connection is, and why behind what is counted."""
    store = Store(FakeClock())
    for told, said in (
        ({"available": False, "why": "the disk is full."}, "the disk is full."),
        ({"available": False, "why": "locked.", "heldBy": "sh\x1b"}, "locked. Held by sh␛."),
        ({"available": False}, "the engine does not say why."),
        ({"available": True}, None),
        ("odd", None),
    ):
        status = status_of({"store": told, "counts": {"running": 1}})
        store.apply(StatusRead(status, 0.0, 0.0))
        pieces = [piece.text for piece in health(store, BoardRows(store).seen)[0]]
        whole = f"  store: {said}"
        found = [text for text in pieces if "store" in text]
        assert found == ([] if said is None else ["  store unavailable", whole])


# -- cells -----------------------------------------------------------------------------------------

SAMPLES = [
    "", "plain", "Grüße", "日本語テキスト", "한국어", "عربى", "क्षि", "e\u0301a",
    "👍🎉", "a日b本c", "✗ ▸ ↻ ◷", "ﾊﾝｶｸ",
]  # fmt: skip


@pytest.mark.parametrize("text", SAMPLES)
def test_widths_are_those_of_rich(text: str) -> None:
    """What is measured here is what Textual draws with."""
    assert width(safe(text)) == cell_len(safe(text))


@STEADY
@given(anything.map(safe), st.integers(0, 30), st.booleans())
def test_clip_and_fit_keep_to_their_cells(text: str, cells: int, middle: bool) -> None:
    """Never a cell too many; `fit` never one too few."""
    assert width(clip(text, cells, middle=middle)) <= cells
    assert width(fit(text, cells)) == cells
    assert width(fit(text, cells, right=True)) == cells


def test_clip_tells_that_it_cut() -> None:
    """Names are cut at their end, ids in their middle."""
    assert clip("order.fulfil", 12) == "order.fulfil"
    assert clip("order.fulfil", 8) == "order.f…"
    assert clip("01kaq3x0c4gq2mfzx8v7h5e9r1", 9, middle=True) == "01ka…e9r1"
    assert clip("01kaq3x0c4", 6, middle=True) == "01…0c4"
    assert clip("日本語", 4) == "日…"
    assert clip("abc", 1) == "…"
    assert clip("abc", 0) == ""
    assert fit("ab", 4, right=True) == "  ab"
    assert fit("日本語", 4) == "日… "
