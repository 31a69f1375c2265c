"""The goals, each with what was measured against it. Pure: results in, lines out.

A result is one JSON line of rows.jsonl. Where a row was measured several times, medians are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

Result = dict[str, Any]
ATOMIC, RESTATE, DBOS, FLOOR = "atomic", "restate-calls", "dbos-sqlite", "floor"


@dataclass(frozen=True)
class Line:
    """A goal beside its measurement. `met` is None when there is nothing to judge."""

    measure: str
    goal: str
    measured: str
    ratio: str
    met: bool | None


class Results:
    """Results of one form, the newest sitting of each row (and, for speed, system)."""

    def __init__(self, results: list[Result]) -> None:
        newest: dict[tuple[str, str], int] = {}
        for each in results:
            at = self._place(each)
            newest[at] = max(newest.get(at, 0), each["sitting"])
        self.all = [each for each in results if each["sitting"] == newest[self._place(each)]]

    @staticmethod
    def _place(result: Result) -> tuple[str, str]:
        return result["row"], str(result.get("system", ""))

    def of(self, row: str, **wanted: Any) -> list[Result]:
        """Results of a row with these values."""
        found = (each for each in self.all if each["row"] == row)
        return [each for each in found if all(each.get(k) == v for k, v in wanted.items())]

    def value(self, row: str, member: str, **wanted: Any) -> float | None:
        """The median of a member (a.b reaches into it); None if it was not measured."""
        values = []
        for each in self.of(row, **wanted):
            value: Any = each
            for name in member.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                values.append(value)
        return median(values) if values else None

    def total(self, row: str, member: str, **wanted: Any) -> float | None:
        """The sum of a member; None if it was not measured."""
        values = [each[member] for each in self.of(row, **wanted) if each.get(member) is not None]
        return sum(values) if values else None

    def worst(self, row: str, member: str, **wanted: Any) -> float | None:
        """The largest value of a member; None if it was not measured."""
        values = [each[member] for each in self.of(row, **wanted) if each.get(member) is not None]
        return max(values) if values else None

    def sittings(self, row: str) -> set[int]:
        """When its results are of: more than one are no fair comparison."""
        return {each["sitting"] for each in self.of(row)}


def number(value: float | None, unit: str = "") -> str:
    """Three digits, or a dash."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        text = f"{value:,.0f}"
    elif abs(value) >= 100:
        text = f"{value:.0f}"
    elif abs(value) >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2f}"
    return f"{text} {unit}".strip()


def at_most(measure: str, value: float | None, limit: float, unit: str, *, plus: str = "") -> Line:
    """A goal that is a limit."""
    met = None if value is None else value <= limit
    share = "–" if value is None else f"{value / limit:.2f}"
    return Line(
        measure,
        f"≤ {number(limit, unit).replace('.00', '')}",
        number(value, unit) + plus,
        share,
        met,
    )


def against(
    measure: str,
    ours: float | None,
    theirs: float | None,
    times: float,
    unit: str,
    *,
    less: bool,
    whose: str,
) -> Line:
    """A goal that is a ratio to somebody else's value."""
    sign = "≤" if less else "≥"
    goal = f"{sign} {times:g} × {whose}"
    if ours is None or not theirs:
        return Line(measure, goal, number(ours, unit), "–", None)
    ratio = ours / theirs
    measured = f"{number(ours, unit)} to {number(theirs, unit)}"
    return Line(measure, goal, measured, f"{ratio:.2f}", ratio <= times if less else ratio >= times)


def _speed(r: Results) -> list[Line]:
    def p50(system: str) -> float | None:
        return r.value("speed", "p50_ms", system=system, c=1)

    def rate(system: str, callers: int) -> float | None:
        return r.value("speed", "rate", system=system, c=callers)

    lines = [
        against(
            "one caller, p50 of `createUser`",
            p50(ATOMIC),
            p50(RESTATE),
            0.3,
            "ms",
            less=True,
            whose="Restate",
        ),
        against(
            "the same", p50(ATOMIC), p50(FLOOR), 2, "ms", less=True, whose="no durability, httpx"
        ),
    ]
    for callers, restate in ((50, 4), (200, 3)):
        for name, whose, times in (
            (RESTATE, "Restate", restate), (DBOS, "DBOS", 16), (FLOOR, "no durability, httpx", 3)
        ):  # fmt: skip
            lines.append(against(f"{callers} callers, workflows/s", rate(ATOMIC, callers), rate(name, callers),
                                 times, "/s", less=False, whose=whose))  # fmt: skip
    lines.append(against("1,000 callers, workflows/s", rate(ATOMIC, 1000), rate(ATOMIC, 50), 0.8, "/s",
                         less=False, whose="50 callers"))  # fmt: skip
    wrong = None
    for each in r.of("speed", system=ATOMIC, c=1000):
        wrong = (wrong or 0) + sum(
            each[name] for name in ("err_status", "err_sock", "err_body", "timeouts")
        )
    lines.append(
        Line(
            "1,000 callers, errors",
            "0",
            number(wrong).replace(".00", ""),
            "–",
            None if wrong is None else wrong == 0,
        )
    )
    cpu = r.value("speed", "cpu_s_per_1000.server", system=ATOMIC, c=50)
    lines.append(at_most("engine CPU per workflow, 50 callers", cpu, 1.2, "ms"))
    return lines


def _written(r: Results) -> list[Line]:
    each = r.value("written", "bytes_each", system=ATOMIC)
    syncs = r.value("written", "syncs_each", system=ATOMIC)
    return [
        at_most(
            "bytes written per workflow, 50 callers, random keys", each and each / 1000, 12, "KB"
        ),
        at_most("syncs per workflow, the same", syncs, 1, ""),
    ]


def _stored(r: Results) -> list[Line]:
    most = r.worst("stored", "stored") or 0
    full, empty = (r.value("stored", "rate", stored=runs) for runs in (most, 0))
    text = f"50 callers with {most:,.0f} finished runs in the file, workflows/s"
    return [against(text, full, empty, 0.95, "/s", less=False, whose="an empty file")]


def _waiting(r: Results) -> list[Line]:
    runs = r.value("waiting", "runs") or 0
    mib, empty = r.value("waiting", "mib"), r.value("waiting", "mib_empty")
    above = None if mib is None or empty is None else mib - empty
    each = r.value("waiting", "bytes_each")
    text = f"{runs:,.0f} runs in back-off"
    first = r.value("restart", "first_s")
    first = first and max(0.0, first)  # attempts may leave before the engine calls itself ready
    arrived, due = r.value("restart", "arrived"), r.value("restart", "due")
    plus = "" if arrived is None or arrived == due else f" ({arrived:.0f} of {due:.0f} came)"
    return [
        at_most(f"{text}: memory above an empty engine's", above, 200, "MiB"),
        at_most("file bytes per run beyond its payload", each and each / 1024, 1, "KiB"),
        at_most("status latency p99", r.value("waiting", "status_p99_ms"), 50, "ms"),
        at_most("start with those after kill -9: ready", r.value("restart", "ready_s"), 2, "s"),
        at_most("from there to the first due attempt", first, 1, "s", plus=plus),
    ]


def _held(r: Results) -> list[Line]:
    callers, held = r.value("held", "callers") or 0, r.value("held", "held")
    plus = "" if held is None or held == callers else f" ({held:.0f} held)"
    slowest = max(
        filter(None, (r.value("held", name) for name in ("status_p99_ms", "post_p99_ms"))),
        default=None,
    )
    return [
        at_most(
            f"{callers:,.0f} callers held at once: memory each",
            r.value("held", "kib_each"),
            20,
            "KiB",
            plus=plus,
        ),
        at_most("other requests' p99 meanwhile", slowest, 100, "ms"),
    ]


def _recovery(r: Results) -> list[Line]:
    runs = r.value("recovery", "runs", system=ATOMIC) or 0
    lost = r.total("recovery", "lost", system=ATOMIC)
    theirs = []
    for name, whose in ((RESTATE, "Restate"), (DBOS, "DBOS")):
        value = r.value("recovery", "excess_s", system=name)
        if value is not None:
            theirs.append(f"{whose} {number(value, 's')}")
    text = f"kill -9 with {runs:,.0f} workflows in flight: excess over the steps' own time"
    plus = f" ({', '.join(theirs)})" if theirs else ""
    excess = at_most(text, r.value("recovery", "excess_s", system=ATOMIC), 3, "s", plus=plus)
    if lost:
        excess = Line(text, excess.goal, f"some were lost{plus}", "–", False)
    return [
        excess,
        Line(
            "workflows lost",
            "0",
            number(lost).replace(".00", ""),
            "–",
            None if lost is None else lost == 0,
        ),
    ]


def _overload(r: Results) -> list[Line]:
    refused = r.value("overload", "refused")
    slow = r.value("overload", "refusal_p99_ms")
    without = r.total("overload", "without_retry_after")
    lost, left = r.total("overload", "lost"), r.total("overload", "open_left")
    normal = r.value("overload", "normal_after_s")
    never = [each for each in r.of("overload") if each["normal_after_s"] is None]
    ran = bool(r.of("overload"))
    good = against("3 × overload: goodput", r.value("overload", "goodput"), r.value("overload", "peak"), 0.9, "/s",
                   less=False, whose="peak")  # fmt: skip
    if ran and not refused:
        p99 = Line("refusals' p99", "≤ 50 ms", "nothing was refused", "–", False)
    else:
        p99 = at_most(
            "refusals' p99",
            slow,
            50,
            "ms",
            plus=f" ({without:.0f} without Retry-After)" if without else "",
        )
        p99 = Line(p99.measure, p99.goal, p99.measured, p99.ratio, p99.met and not without)
    gone = None if lost is None or left is None else lost + left
    calm = at_most("normal again after", normal, 10, "s")
    if never:
        calm = Line(calm.measure, calm.goal, "not within 60 s", "–", False)
    return [good, p99, Line("accepted and lost or left open", "0", number(gone).replace(".00", ""), "–",
                            None if gone is None else gone == 0), calm]  # fmt: skip


def _actions(r: Results) -> list[Line]:
    steps = r.worst("actions", "steps") or 0
    text = f"every action on a run of {steps:,.0f} steps, flat and 32 deep: another's request waits"
    idle = r.worst("actions", "idle_ms")
    plus = "" if idle is None else f" ({number(idle, 'ms')} when nothing is done)"
    return [at_most(text, r.worst("actions", "stall_ms"), 100, "ms", plus=plus)]


def _client(r: Results) -> list[Line]:
    def rate(lib: str, hanging: int, **how: Any) -> float | None:
        return r.value("client", "rate", lib=lib, hanging=hanging, **how)

    lines = []
    for hanging in (50, 200, 1_000):
        ours, theirs = (
            rate(lib, hanging, loop="uvloop", tls=False) for lib in ("engine.client", "aiohttp")
        )
        text = f"application on `engine.client`, {hanging:,} posts hang, workflows/s"
        lines.append(against(text, ours, theirs, 0.8, "/s", less=False, whose="aiohttp"))
    ours, theirs = (rate(lib, 200, tls=True) for lib in ("engine.client", "aiohttp"))
    text = "the same over TLS, 200 posts hang"
    return [*lines, against(text, ours, theirs, 0.8, "/s", less=False, whose="aiohttp")]


def _access(r: Results) -> list[Line]:
    ways = ("", "signed", "sealed")
    plain, signed, over_tls = (r.value("access", "rate", access=way) for way in ways)
    text = "`createUser` with a token and signed calls, 50 callers, workflows/s"
    told = against(f"{text}, over TLS", over_tls, plain, 0, "/s", less=False, whose="without")
    told = replace(told, goal="told", met=None)
    return [against(text, signed, plain, 0.93, "/s", less=False, whose="without"), told]


def _pages(r: Results) -> list[Line]:
    found = []
    for callers, who in ((1, "one caller"), (50, "50 callers")):
        none, ten = (r.value("pages", "rate", pages=pages, c=callers) for pages in (0, 10))
        text = f"`createUser` with ten pages of `/ui` open, {who}, workflows/s"
        found.append(against(text, ten, none, 0.98, "/s", less=False, whose="without"))
    return found


ROWS: dict[str, Callable[[Results], list[Line]]] = {
    "speed": _speed, "written": _written, "stored": _stored, "waiting": _waiting,
    "held": _held, "recovery": _recovery, "overload": _overload,
    "actions": _actions, "client": _client, "access": _access,
    "pages": _pages,
}  # fmt: skip


def lines(results: Results, names: list[str] | None = None) -> list[Line]:
    """The goals of these rows, or all, in order."""
    return [line for name in names or ROWS for line in ROWS[name](results)]
