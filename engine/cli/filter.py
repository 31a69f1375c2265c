"""Filters on the command line: `--filter` and `--since`, and a fault in one under a caret."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from engine.cli.show.text import safe


def filter_option(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--filter: handed over as `q`."""
    return click.option(
        "--filter", "q", required=required, metavar="FILTER", help="Which runs, as `is:failed`."
    )


def whole_filter(q: str | None, *, client: str | None = None, since: str | None = None) -> str:
    """The filter, and as further terms what other options say. Raises UsageError for a client
    that cannot be one: it would be a pattern."""
    from engine.wire import CLIENT_PATTERN

    if client and not re.fullmatch(CLIENT_PATTERN, client):
        raise click.UsageError(f"--client: {safe(client)!r} is no client name; --filter has more.")
    terms = (q, client and f"client:{client}", since and f"age:<{since}")
    return " ".join(filter(None, terms))


@contextmanager
def faults_shown(q: str | None) -> Iterator[None]:
    """What the engine says of a filter that it cannot read becomes a mark under the place."""
    from engine.client import Refused

    try:
        yield
    except Refused as refused:
        members: dict[str, Any] = refused.members
        position = members.get("position")
        if not q or members.get("member") != "q" or not isinstance(position, int):
            raise
        detail = refused.detail.removeprefix("`q`: ")
        if position > len(q):
            detail += " The other options that choose runs add one each."
        raise click.UsageError(f"--filter: {safe(detail)}\n{marked(q, position)}") from refused


def marked(text: str, at: int) -> str:
    """A text, and under it a caret where `at` is, counted from 0."""
    return f"  {safe(text)}\n  {' ' * _cells(safe(text[: max(at, 0)]))}^"


def _cells(text: str) -> int:
    """How wide a terminal draws it: East Asian characters take two cells, marks none."""
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )
