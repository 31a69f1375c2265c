"""The filter as it is typed: whether it makes sense, where it does not, and what could follow.

The engine evaluates filters of runs; this only reads them with the same parser, so that a mistake
shows under the caret before anything is asked for. The steps of the open run and the events that
have come are all here: which of them fit is found here, in the same language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import eq, gt, lt
from typing import NamedTuple

from msgspec import Struct

from engine.wire import ABOUT, IS_WORDS, BadFilter, Term, parse
from tui.data.model import ENDED, STUCK, Retry, Run, State, Step
from tui.data.store import Store

SUGGESTIONS_MAX = 8
_LAST = re.compile(r'(!?)(?:([a-z]+):)?("[^"]*|\S*)$')
"""The term at the end, also when its quotation mark is not closed yet."""


class Fault(Struct, frozen=True):
    """What is wrong with a filter, and where."""

    at: int
    detail: str


def fault(text: str) -> Fault | None:
    """What is wrong with a filter; None: nothing."""
    try:
        parse(text)
    except BadFilter as error:
        return Fault(error.at, error.detail)
    return None


def moves_with_time(text: str) -> bool:
    """Whether runs come to match, or match no more, without anything happening to them."""
    try:
        terms = parse(text)
    except BadFilter:
        return False
    return any(term.field in ("due", "age") or term.text == "late" for term in terms)


def is_empty(text: str) -> bool:
    """Whether a filter leaves everything."""
    return not text.strip()


ABOUT_RUNS: tuple[str, ...] = tuple(ABOUT)
"""What a filter of runs can ask for."""
ABOUT_STEPS = ("is", "step", "host", "key", "try", "code", "error")
"""What a filter of the steps of one run can ask for, beside a part of what is seen of them."""
ABOUT_EVENTS = ("is", "wf", "client", "key", "step", "host", "try", "code", "error")
"""The same of events."""
ABOUT_PAST = (*ABOUT_EVENTS, "age")
"""The same of the runs of a past hour, of which no engine is asked."""


class Subject(NamedTuple):
    """What terms are asked of: a step, or what has happened to one. None: that is not known, or
    there is none; no term finds it."""

    state: State
    workflow: str | None = None
    client: str | None = None
    key: str | None = None
    step: str | None = None
    host: str | None = None
    tries: int | None = None
    code: int | None = None
    age_ms: float | None = None
    dismissed: bool = False
    has_failed: bool = False
    """An attempt that failed: it did, also where its step is tried again."""
    why: str = ""
    """What is told of why."""
    seen: str = ""
    """All else that a part of it can be looked for in."""


Fits = Callable[[Subject], bool]


def steps_fault(text: str) -> Fault | None:
    """What is wrong with a filter of steps; None: nothing."""
    return _fault_about(text, ABOUT_STEPS, "steps")


def events_fault(text: str) -> Fault | None:
    """What is wrong with a filter of events; None: nothing."""
    return _fault_about(text, ABOUT_EVENTS, "events")


def past_fault(text: str) -> Fault | None:
    """What is wrong with a filter of the runs of a past hour; None: nothing."""
    return _fault_about(text, ABOUT_PAST, "a past hour")


FAULTS: dict[str, Callable[[str], Fault | None]] = {
    "filter": fault,
    "steps": steps_fault,
    "events": events_fault,
    "past": past_fault,
}
"""By what is typed: what is wrong with it."""


def _fault_about(text: str, about: Sequence[str], what: str) -> Fault | None:
    if (found := fault(text)) is not None:
        return found
    for term in parse(text):
        if term.field not in ("text", *about):
            known = ", ".join(f"{name}:" for name in about)
            of = "asked of an engine" if about is ABOUT_PAST else "of runs"
            told = f"`{term.field}:` is {of}. Of {what} there are {known}."
            return Fault(text.find(f"{term.field}:"), told)
    return None


def step_filter(text: str) -> Callable[[Step], bool] | None:
    """Whether a step is one that is looked for; None: all are."""
    if is_empty(text) or steps_fault(text) is not None:
        return None
    fits = _fits_all(text)
    return lambda step: fits(_subject(step))


def event_filter(text: str) -> Fits | None:
    """Whether what has happened is looked for; None: all of it is."""
    return None if is_empty(text) or events_fault(text) is not None else _fits_all(text)


def run_filter(text: str) -> Callable[[Run, float], bool] | None:
    """Whether a run of a past hour is looked for, at a time (ms); None: all are."""
    if is_empty(text) or past_fault(text) is not None:
        return None
    fits = _fits_all(text)
    return lambda run, now_ms: fits(_run_subject(run, now_ms))


def retry_filter(text: str) -> Callable[[Retry], bool] | None:
    """The same of a step that waits for another try there."""
    if is_empty(text) or past_fault(text) is not None:
        return None
    fits = _fits_all(text)
    return lambda retry: fits(_retry_subject(retry))


def _retry_subject(retry: Retry) -> Subject:
    at = retry.at
    return Subject(
        at.state,
        workflow=retry.workflow,
        client=retry.client,
        step=at.name,
        host=at.host,
        tries=at.attempts,
        code=at.http_status,
        why=f"{at.excerpt or ''} {at.error or ''}",
        seen="\n".join((retry.workflow, retry.client, retry.run_id, at.name)),
    )


def _run_subject(run: Run, now_ms: float) -> Subject:
    at, why = run.at, run.reason or run.at
    return Subject(
        run.state,
        workflow=run.workflow,
        client=run.client,
        key=run.key,
        step=None if at is None else at.name,
        host=None if at is None else at.host,
        tries=None if at is None else at.attempts,
        code=None if why is None else why.http_status,
        age_ms=now_ms - run.submitted_at,
        dismissed=run.dismissed,
        why="" if why is None else f"{why.excerpt or ''} {why.error or ''}",
        seen="\n".join((run.workflow, run.key, run.client, run.id)),
    )


def _subject(step: Step) -> Subject:
    why = f"{step.excerpt or ''} {step.error or ''}"
    return Subject(
        step.state,
        key=step.step_key,
        step=step.name,
        host=step.host,
        tries=step.attempts,
        code=step.http_status,
        why=why,
        seen=f"{step.label}\n{step.id}",
    )


def _fits_all(text: str) -> Fits:
    terms = [(_fits(term), term.negated) for term in parse(text)]
    return lambda subject: all(fits(subject) is not negated for fits, negated in terms)


def _fits(term: Term) -> Fits:
    wanted = term.text.lower()
    like = re.compile(".*".join(map(re.escape, wanted.split("*"))))

    def is_like(name: str | None) -> bool:
        return name is not None and like.fullmatch(name.lower()) is not None

    match str(term.field):
        case "is":
            return lambda it: _stands(it, wanted)
        case "wf":
            return lambda it: is_like(it.workflow)
        case "client":
            return lambda it: is_like(it.client)
        case "step":
            return lambda it: is_like(it.step)
        case "host":
            return lambda it: is_like(it.host)
        case "key":
            return lambda it: is_like(it.key)
        case "try":
            holds = {">": gt, "<": lt}.get(str(term.compare), eq)
            return lambda it: it.tries is not None and holds(it.tries, term.number)
        case "age":
            is_older = str(term.compare) == ">"
            return lambda it: it.age_ms is not None and (it.age_ms > term.number) is is_older
        case "code":
            return lambda it: f"{it.code}".startswith(wanted.rstrip("x"))
        case "error":
            return lambda it: wanted in it.why.lower()
        case _:
            return lambda it: wanted in f"{it.seen}\n{it.why}".lower()


def _stands(it: Subject, word: str) -> bool:
    state = it.state
    match word:
        case "live":
            return state not in ENDED
        case "ended":
            return state in ENDED
        case "stuck":
            return state in STUCK and not it.dismissed
        case "dismissed":
            return it.dismissed
        case "failed":
            return it.has_failed or state is State.FAILED
        case _:
            return state == word


def held_filter(kind: str, name: str) -> str:
    """The filter of the open runs of which a hold keeps steps."""
    field = {"workflow": "wf"}.get(kind, kind)
    return "is:live" if kind == "all" else f"is:live {field}:{_quoted(name)}"


def suggest(
    text: str, known: Mapping[str, Iterable[str]], about: Iterable[str] = ABOUT_RUNS
) -> list[str]:
    """How the last term of a filter may be completed: whole filters.

    `known` has values by field (workflows, hosts, … that were seen), `about` the fields there are.
    """
    found = _LAST.search(text)
    if found is None or not found[0]:
        return []
    head = text[: found.start()] + found[1]
    name, value = found[2], found[3].removeprefix('"')
    if name is None:
        terms = [f"{field}:" for field in about if value and field.startswith(value)]
    else:
        values = IS_WORDS if name == "is" else known.get(name, ())
        terms = [
            f"{name}:{_quoted(each)}"
            for each in values
            if each.startswith(value) and each.isprintable()
        ]
    return [f"{head}{term}" for term in terms[:SUGGESTIONS_MAX] if head + term != text]


def seen_values(store: Store) -> dict[str, list[str]]:
    """What was seen of each field that a filter can name."""
    ats = [run.at for run in store.runs.values()] + [retry.at for retry in store.retries.values()]
    steps = [step for tree in store.trees.values() for step in tree.steps.values()]
    runs = list(store.runs.values())
    reasons = [at.excerpt for at in ats if at] + [step.excerpt for step in steps]
    told = [run.reason for run in runs] + [cause.reason for cause in store.causes.values()]
    reasons += [reason.excerpt for reason in told if reason is not None]
    found: dict[str, set[str]] = {
        "wf": {run.workflow for run in runs} | {retry.workflow for retry in store.retries.values()},
        "client": {run.client for run in runs},
        "host": {at.host for at in ats if at} | {step.host for step in steps} | store.hosts.keys(),
        "step": {at.name for at in ats if at} | {step.name for step in steps},
        "key": {run.key for run in runs},
        "cause": set(store.causes),
        "error": {part for why in reasons if why for part in (why.partition(":")[0], why)},
        "code": {f"{at.http_status}" for at in ats if at and at.http_status is not None},
    }
    return {name: sorted(values - {""}) for name, values in found.items()}


def _quoted(value: str) -> str:
    if not any(c.isspace() or c == '"' for c in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
