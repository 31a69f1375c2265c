"""How the hosts that endpoints are on do: for operators, who look there first when much fails.

Figures are of attempts that ended within the last minutes, kept in memory: what an engine that has
just started knows is little, and it says so.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from math import log2

from msgspec import Struct, field

from engine.core.outcome import CallError

MINUTES = 8
"""Over which is told how many ended, how well and how fast."""
RESULT_MINUTES = 11
"""Over which is told what they came to: ten, and the one that runs."""
OK = 2
"""As a result: a 2xx that was recorded."""
SUSPENDED = 0
"""As a result: its function waits for steps; no success, and no failure either."""
PASSED_ON = 424
"""As a result: its function answered 424 for a failure below; not this host's failure."""
HOSTS_KEPT_MAX = 200
"""Those last called; the figures of others are dropped."""
STEPS_AN_OCTAVE = 4
"""Of durations: each is known to within a fifth."""
DURATION_CLASSES = 27 * STEPS_AN_OCTAVE
"""Up to 2^27 ms, a day and a half."""


class Minute(Struct):
    """What ended within one minute."""

    number: int
    """Minutes since the clock's zero."""
    succeeded: int = 0
    failed: int = 0
    suspended: int = 0
    """Beside those."""
    passed_on: int = 0
    """Likewise."""
    retries: int = 0
    failed_by: dict[int | CallError, int] = field(default_factory=dict)
    """How many failed so, by the hundred of their status or, unanswered, by why."""
    durations: dict[int, int] = field(default_factory=dict)
    """How many took how long, by class."""


class HostFigures(Struct, frozen=True):
    """The figures of a host."""

    host: str
    ended: int = 0
    """Attempts that succeeded or failed within the window."""
    succeeded: int = 0
    p95_ms: int | None = None
    """So long, or less, took 95 of 100."""
    by_minute: tuple[tuple[int, int], ...] = ((0, 0),) * MINUTES
    """(ended, succeeded) of each minute of the window, the latest last."""
    results: dict[str, tuple[int, ...]] = {}
    """What they came to, of each of RESULT_MINUTES, the latest last: `2xx`, `5xx`, a CallError,
    `suspended`, `passed-on`."""
    retries: tuple[int, ...] = (0,) * RESULT_MINUTES
    """How many of these were of steps that had failed before."""


class Hosts:
    """Counts what attempts at each host come to."""

    def __init__(self) -> None:
        self._hosts: OrderedDict[str, deque[Minute]] = OrderedDict()

    def ended(
        self,
        host: str,
        result: int | CallError,
        *,
        retry: bool,
        took_ms: float | None,
        now_ms: int,
    ) -> None:
        """An attempt ended: OK, SUSPENDED, PASSED_ON, with an answer (the hundred of its status),
        or without. `took_ms` is None when it waited for steps, not for the host."""
        minutes = self._hosts.get(host)
        if minutes is None:
            minutes = self._hosts[host] = deque(maxlen=RESULT_MINUTES)
            if len(self._hosts) > HOSTS_KEPT_MAX:
                self._hosts.popitem(last=False)
        number = now_ms // 60_000
        if not minutes or minutes[-1].number != number:
            minutes.append(Minute(number))
            self._hosts.move_to_end(host)
        minute = minutes[-1]
        if result == OK:
            minute.succeeded += 1
        elif result == SUSPENDED:
            minute.suspended += 1
        elif result == PASSED_ON:
            minute.passed_on += 1
        else:
            minute.failed += 1
            minute.failed_by[result] = minute.failed_by.get(result, 0) + 1
        if retry:
            minute.retries += 1
        if took_ms is None:
            return
        kind = min(int(log2(max(1.0, took_ms)) * STEPS_AN_OCTAVE), DURATION_CLASSES)
        minute.durations[kind] = minute.durations.get(kind, 0) + 1

    def figures(self, now_ms: int) -> list[HostFigures]:
        """What is known of each host, by name."""
        last = now_ms // 60_000
        return [_figures(host, minutes, last) for host, minutes in sorted(self._hosts.items())]


def _figures(host: str, minutes: deque[Minute], last: int) -> HostFigures:
    every = [
        next((it for it in minutes if it.number == number), None) or Minute(number)
        for number in range(last - RESULT_MINUTES + 1, last + 1)
    ]
    window = every[-MINUTES:]
    by_minute = tuple((each.succeeded + each.failed, each.succeeded) for each in window)
    durations: dict[int, int] = {}
    for minute in window:
        for kind, count in minute.durations.items():
            durations[kind] = durations.get(kind, 0) + count
    return HostFigures(
        host=host,
        ended=sum(ended for ended, _ in by_minute),
        succeeded=sum(succeeded for _, succeeded in by_minute),
        p95_ms=_percentile(durations, 0.95),
        by_minute=by_minute,
        results=_results(every),
        retries=tuple(each.retries for each in every),
    )


def _results(minutes: list[Minute]) -> dict[str, tuple[int, ...]]:
    """What attempts came to, by its name; what none came to is left out."""
    found = {
        f"{OK}xx": tuple(each.succeeded for each in minutes),
        "suspended": tuple(each.suspended for each in minutes),
        "passed-on": tuple(each.passed_on for each in minutes),
    }
    for result in {result for each in minutes for result in each.failed_by}:
        name = result.value if isinstance(result, CallError) else f"{result}xx"
        found[name] = tuple(each.failed_by.get(result, 0) for each in minutes)
    return {name: found[name] for name in sorted(found) if any(found[name])}


def _percentile(durations: dict[int, int], share: float) -> int | None:
    """The upper end of the class in which it lies."""
    wanted = sum(durations.values()) * share
    for kind in sorted(durations):
        wanted -= durations[kind]
        if wanted <= 0:
            return round(2 ** ((kind + 1) / STEPS_AN_OCTAVE))
    return None
