"""Lengths of time are written in one way, whatever option they are for."""

from __future__ import annotations

import click
import pytest

from engine.cli.options import duration, lifetime, since
from engine.cli.show.text import count_text
from engine.core.filter import Field, parse
from tests.client.fake_engine import Atomic, FakeEngine, refusal

CONTEXT, OPTION = click.Context(click.Command("c")), click.Option(["--o"])
WRITTEN = {
    "0": 0, "0s": 0, "1ms": 1, "500ms": 500, "8s": 8_000, "2m": 120_000, "1h": 3_600_000,
    "90d": 7_776_000_000, "1h30m": 5_400_000, "1m1ms": 60_001, "999999999999ms": 999_999_999_999,
}  # fmt: skip
NONE = (
    "", " ", "1 h", "h", "-1s", "1.5s", "1H", "1w", "s1", "1h30", "30m1", "1_0s", "٣s", "1s\n",
    "1000000000000ms", "1e3s", "0x1s",
)  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_what_is_a_duration(text: str) -> None:
    """For each option the same, and for the filter of a list as the engine reads it."""
    assert duration(CONTEXT, OPTION, text) == lifetime(CONTEXT, OPTION, text) == WRITTEN[text]
    if len(text) < 9:
        (read,) = parse(f"age:<{since(CONTEXT, OPTION, text)}")
        assert (read.field, read.number) == (Field.AGE, WRITTEN[text])


@pytest.mark.parametrize("text", NONE)
def test_what_is_none(text: str) -> None:
    """It is said how one is written."""
    for read in (duration, lifetime, since):
        with pytest.raises(click.BadParameter, match="is no duration: use 500ms, 30s, 15m"):
            read(CONTEXT, OPTION, text)


def test_a_number_alone_is_milliseconds_where_it_always_was() -> None:
    """And nothing where it was refused: 90 for 90 days would be a token of a moment."""
    assert duration(CONTEXT, OPTION, "500") == 500
    assert duration(CONTEXT, OPTION, "999999999999") == 999_999_999_999
    for read in (lifetime, since):
        with pytest.raises(click.BadParameter, match="'90' is no duration"):
            read(CONTEXT, OPTION, "90")
    assert duration(CONTEXT, OPTION, None) is lifetime(CONTEXT, OPTION, None) is None


def test_options_of_all_kinds_take_it(atomic: Atomic, engine: FakeEngine) -> None:
    """Tokens and posts, which had a grammar each."""
    no = refusal("not-possible", "no")
    names = ("--workflow", "w", "--key", "k", "--client", "c")
    times = ("--timeout", "1m30s", "--attempt-timeout", "1d", "--back-off", "250")
    atomic("token", "add", "t", "--role", "read", "--expires", "1d12h", answers=[no])
    atomic("token", "rotate", "t", "--overlap", "1500ms", answers=[no])
    atomic("submit", "http://a/", *names, *times, answers=[no])
    added, rotated, posted = engine.bodies()
    assert (added["expiresInMs"], rotated["overlapMs"]) == (129_600_000, 1_500)
    assert (posted["timeout"], posted["attemptTimeout"]) == (90_000, 86_400_000)
    assert posted["retry"]["backOff"] == 250


@pytest.mark.parametrize(
    ("number", "what", "told"),
    [(1, "try", "1 try"), (2, "try", "2 tries"), (0, "key", "0 keys"), (1_000, "a", "1,000 as")],
)
def test_how_many(number: int, what: str, told: str) -> None:
    """In English."""
    assert count_text(number, what) == told
