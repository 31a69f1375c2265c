"""The filter language of runs: what an operator types, as terms that a store can look for.

    is:failed wf:order* host:api.example.com try:>3 due:<1m age:>1h code:5xx !key:test* ada

Terms stand beside each other and all of them must hold; `!` before one turns it round. A word
without a field is looked for in workflow, key, client and id. `*` stands for any text. A value with
spaces is written `"like this"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

from engine.core.model import StepState

FILTER_CHARACTERS_MAX = 500
TERMS_MAX = 12


class BadFilter(Exception):
    """A term that makes no sense. `at` is where it begins, counted from 0."""

    def __init__(self, detail: str, at: int) -> None:
        super().__init__(detail)
        self.detail, self.at = detail, at


class Field(StrEnum):
    """What a term can be about."""

    IS = "is"
    WORKFLOW = "wf"
    CLIENT = "client"
    KEY = "key"
    STEP = "step"
    HOST = "host"
    TRY = "try"
    DUE = "due"
    AGE = "age"
    CODE = "code"
    ERROR = "error"
    CAUSE = "cause"
    JOB = "job"
    TEXT = "text"
    """No field was named."""


ABOUT: dict[Field, str] = {
    Field.IS: "a state (completed, failed, …), live, ended, late, stuck or dismissed",
    Field.WORKFLOW: "the workflow's name",
    Field.CLIENT: "the client",
    Field.KEY: "the idempotency key",
    Field.STEP: "the name of one of its steps",
    Field.HOST: "the host that one of its steps calls, with its port unless that is the usual one",
    Field.TRY: "attempts of the step that has made most: 3, >3, <3",
    Field.DUE: "time until its next attempt: <1m, >10s",
    Field.AGE: "time since it was submitted: >1h, <30s",
    Field.CODE: "HTTP status that a step of it got last: 503, 5xx",
    Field.ERROR: "a part of why a step of it failed last, as it is shown: declined, errno 111",
    Field.CAUSE: "why it needs a person: the cause's id, as the list of causes has it",
    Field.JOB: "a bulk job that acted on it: its id; with /refused behind it: that it left alone",
}


class Is(StrEnum):
    """The words of `is:` beside the states."""

    LIVE = "live"
    """It has not ended."""
    ENDED = "ended"
    LATE = "late"
    """An attempt of it is overdue."""
    STUCK = "stuck"
    """It needs a person: it failed, or a step of it is paused; and it is not dismissed."""
    DISMISSED = "dismissed"


class Compare(StrEnum):
    """How a number is compared with the term's."""

    EQUAL = "="
    LESS = "<"
    MORE = ">"


class Term(Struct, frozen=True):
    """One condition."""

    field: Field
    text: str
    """The pattern, in lower case where case does not matter."""
    compare: Compare = Compare.EQUAL
    number: int = 0
    """Attempts, milliseconds, or an HTTP status."""
    negated: bool = False


Filter = tuple[Term, ...]

_TERM = re.compile(r'(!?)(?:([a-z]+):)?("(?:[^"\\]|\\.)*"|[^\s"]\S*)?')
_NUMBER = re.compile(r"([<>]?)([0-9]{1,9})")
_DURATION = re.compile(r"([<>])((?:[0-9]{1,6}(?:d|h|ms|m|s))+)")
_PART = re.compile(r"([0-9]{1,12})(d|h|ms|m|s)")
_LENGTH = re.compile(rf"(?:{_PART.pattern})+")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_JOB = re.compile(r"[^/*]{1,64}(?:/refused)?")
_CODE = re.compile(r"[1-5](?:[0-9][0-9]|xx)")
IS_WORDS = (*StepState, *Is)


def parse(text: str) -> Filter:
    """The terms of a filter. Raises BadFilter."""
    if len(text) > FILTER_CHARACTERS_MAX:
        raise BadFilter(f"The filter is longer than {FILTER_CHARACTERS_MAX} characters.", 0)
    for at, character in enumerate(text):
        if not (character.isprintable() or character.isspace()):  # SQLite's patterns end at NUL
            raise BadFilter(f"{character!r} is in no name.", at)
    terms: list[Term] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if len(terms) == TERMS_MAX:
            raise BadFilter(f"More than {TERMS_MAX} terms.", at)
        found = _TERM.match(text, at)
        assert found is not None  # it matches the empty text
        terms.append(_read_term(found, at))
        at = found.end()
        if at < len(text) and not text[at].isspace():
            raise BadFilter(f"Here a space was expected, not {text[at]!r}.", at)
    return tuple(terms)


class Named(Struct, frozen=True):
    """What a filter names whole."""

    key: str
    client: str | None = None
    workflow: str | None = None


def named_by(terms: Filter, given: Mapping[Field, str] = MappingProxyType({})) -> Named | None:
    """The key that a filter asks for, and what is `given` beside it, if beside a client and a
    workflow it asks for nothing; None: it does, or for a part of one, or twice."""
    found = dict(given)
    for term in terms:
        is_name = term.field in (Field.KEY, Field.CLIENT, Field.WORKFLOW)
        if not is_name or term.negated or "*" in term.text or term.field in found:
            return None
        found[term.field] = term.text
    if Field.KEY not in found:
        return None
    return Named(found[Field.KEY], found.get(Field.CLIENT), found.get(Field.WORKFLOW))


def duration_ms(text: str) -> int | None:
    """The milliseconds of a length of time as it is written everywhere: `90d`, `1h30m`, `500ms`;
    None: it is none."""
    if not _LENGTH.fullmatch(text):
        return None
    return sum(int(number) * _UNIT_MS[unit] for number, unit in _PART.findall(text))


def _read_term(found: re.Match[str], at: int) -> Term:
    negated, name, value = found[1] == "!", found[2], found[3] or ""
    at += len(found[1])
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    elif found.end() < len(found.string) and found.string[found.end()] == '"':
        raise BadFilter("The quotation mark is not closed.", found.end())
    if name is None:
        if not value:
            raise BadFilter("A term is missing here.", at)
        return Term(Field.TEXT, value.lower(), negated=negated)
    if name not in ABOUT:
        known = ", ".join(f"{each}:" for each in ABOUT)
        raise BadFilter(f"`{name}:` is not known. There are {known}.", at)
    field = Field(name)
    if not value:
        raise BadFilter(f"`{name}:` needs {ABOUT[field]}.", at)
    return _READERS.get(field, _read_text)(field, value, negated, at)


def _read_text(field: Field, value: str, negated: bool, at: int) -> Term:
    return Term(field, value, negated=negated)


def _read_lower(field: Field, value: str, negated: bool, at: int) -> Term:
    return Term(field, value.lower(), negated=negated)


def _read_word(field: Field, value: str, negated: bool, at: int) -> Term:
    if value not in IS_WORDS:
        raise BadFilter(f"`is:{value}` is none of {', '.join(IS_WORDS)}.", at)
    return Term(field, value, negated=negated)


def _read_number(field: Field, value: str, negated: bool, at: int) -> Term:
    found = _NUMBER.fullmatch(value)
    if found is None:
        raise BadFilter(f"`{field}:` needs {ABOUT[field]}.", at)
    return Term(field, value, Compare(found[1] or "="), int(found[2]), negated)


def _read_duration(field: Field, value: str, negated: bool, at: int) -> Term:
    found = _DURATION.fullmatch(value)
    if found is None:
        raise BadFilter(f"`{field}:` needs {ABOUT[field]}.", at)
    return Term(field, value, Compare(found[1]), duration_ms(found[2]) or 0, negated)


def _read_code(field: Field, value: str, negated: bool, at: int) -> Term:
    if not _CODE.fullmatch(value):
        raise BadFilter(f"`{field}:` needs {ABOUT[field]}.", at)
    return Term(field, value, number=int(value.replace("x", "0")), negated=negated)


def _read_job(field: Field, value: str, negated: bool, at: int) -> Term:
    if not _JOB.fullmatch(value):
        raise BadFilter(f"`{field}:` needs {ABOUT[field]}.", at)
    return Term(field, value, negated=negated)


_READERS: dict[Field, Callable[[Field, str, bool, int], Term]] = {
    Field.IS: _read_word,
    Field.HOST: _read_lower,
    Field.TRY: _read_number,
    Field.DUE: _read_duration,
    Field.AGE: _read_duration,
    Field.CODE: _read_code,
    Field.ERROR: _read_lower,
    Field.JOB: _read_job,
}
