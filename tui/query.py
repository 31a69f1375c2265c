"""The filter as it is typed: whether it makes sense, where it does not, and what could follow.

The engine evaluates filters; this only reads them with the same parser, so that a mistake shows
under the caret before anything is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from engine.wire import ABOUT, IS_WORDS, BadSearch, parse

SUGGESTIONS_MAX = 8


class Fault(Struct, frozen=True):
    """What is wrong with a filter, and where."""

    at: int
    detail: str


def fault(text: str) -> Fault | None:
    """What is wrong with a filter; None: nothing."""
    try:
        parse(text)
    except BadSearch as error:
        return Fault(error.at, error.detail)
    return None


def is_empty(text: str) -> bool:
    """Whether a filter leaves everything."""
    return not text.strip()


def suggest(text: str, known: dict[str, Iterable[str]]) -> list[str]:
    """How the last term of a filter may be completed: whole filters.

    `known` has values by field (workflows, hosts, … that were seen).
    """
    head, _, last = text.rpartition(" ")
    head = f"{head} " if head else ""
    bang = "!" if last.startswith("!") else ""
    term = last.removeprefix("!")
    name, colon, value = term.partition(":")
    if not colon:
        found = [f"{field}:" for field in ABOUT if field.startswith(name) and name]
    else:
        values = IS_WORDS if name == "is" else known.get(name, ())
        found = [f"{name}:{_quoted(each)}" for each in values if each.startswith(value)]
    return [f"{head}{bang}{each}" for each in found[:SUGGESTIONS_MAX] if each != term]


def _quoted(value: str) -> str:
    if not any(c.isspace() or c == '"' for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def with_term(text: str, term: str) -> str:
    """The filter with a term more."""
    return f"{text.rstrip()} {term}".strip() if term not in text.split() else text
