"""The filter as it is typed: whether it makes sense, where it does not, and what could follow.

The engine evaluates filters of runs; this only reads them with the same parser, so that a mistake
shows under the caret before anything is asked for. The steps of the open run are all here: which of
them fit is found here, in the same language.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from operator import eq, gt, lt

from msgspec import Struct

from engine.wire import ABOUT, IS_WORDS, BadFilter, Term, parse
from tui.data.model import State, Step
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


ABOUT_STEPS = ("is", "step", "host", "key", "try", "code", "error")
"""What a filter of the steps of one run can ask for, beside a part of what is seen of them."""
Fits = Callable[[Step], bool]


def steps_fault(text: str) -> Fault | None:
    """What is wrong with a filter of steps; None: nothing."""
    if (found := fault(text)) is not None:
        return found
    for term in parse(text):
        if term.field not in ("text", *ABOUT_STEPS):
            known = ", ".join(f"{name}:" for name in ABOUT_STEPS)
            told = f"`{term.field}:` is of runs. Of steps there are {known}."
            return Fault(text.find(f"{term.field}:"), told)
    return None


def step_filter(text: str) -> Fits | None:
    """Whether a step is one that is looked for; None: all are."""
    if is_empty(text) or steps_fault(text) is not None:
        return None
    terms = [(_fits(term), term.negated) for term in parse(text)]
    return lambda step: all(fits(step) is not negated for fits, negated in terms)


def _fits(term: Term) -> Fits:
    wanted = term.text.lower()
    like = re.compile(".*".join(map(re.escape, wanted.split("*"))))
    match str(term.field):
        case "is":
            return lambda step: _stands(step, wanted)
        case "step":
            return lambda step: like.fullmatch(step.name.lower()) is not None
        case "host":
            return lambda step: like.fullmatch(step.host.lower()) is not None
        case "key":
            return lambda step: like.fullmatch(step.step_key.lower()) is not None
        case "try":
            holds = {">": gt, "<": lt}.get(str(term.compare), eq)
            return lambda step: holds(step.attempts, term.number)
        case "code":
            return lambda step: f"{step.http_status}".startswith(wanted.rstrip("x"))
        case "error":
            return lambda step: wanted in f"{step.excerpt or ''} {step.error or ''}".lower()
        case _:
            return lambda step: any(
                wanted in it.lower()
                for it in (step.label, step.id, step.excerpt or "", step.error or "")
            )


def _stands(step: Step, word: str) -> bool:
    match word:
        case "live":
            return not step.ended
        case "ended":
            return step.ended
        case "stuck":
            return step.state in (State.FAILED, State.PAUSED)
        case _:
            return step.state == word


def held_filter(kind: str, name: str) -> str:
    """The filter of the open runs of which a hold keeps steps."""
    field = {"workflow": "wf"}.get(kind, kind)
    return "is:live" if kind == "all" else f"is:live {field}:{_quoted(name)}"


def suggest(text: str, known: Mapping[str, Iterable[str]]) -> list[str]:
    """How the last term of a filter may be completed: whole filters.

    `known` has values by field (workflows, hosts, … that were seen).
    """
    found = _LAST.search(text)
    if found is None or not found[0]:
        return []
    head = text[: found.start()] + found[1]
    name, value = found[2], found[3].removeprefix('"')
    if name is None:
        terms = [f"{field}:" for field in ABOUT if value and field.startswith(value)]
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
