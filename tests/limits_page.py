"""Every limit: what one sees when it is reached, and what to do. `docs/how-to/limits.md` has the
table; `tests/test_limits_page.py` holds it to the code."""

from __future__ import annotations

from msgspec import Struct

from engine.core.access.limits import HostLimits
from engine.core.errors import Problem
from engine.core.outcome import CallError
from engine.registry.members import LimitMembers
from engine.runs.limits.gates import WaitsFor
from engine.wire import PROBLEMS
from tests.settings_page import settings


class LimitTold(Struct, frozen=True):
    """One of them. What is seen is a refusal, a word for what waits, or a sentence."""

    name: str
    do: str
    problem: Problem | None = None
    status: int | None = None
    """Where it is not that of the problem."""
    waits: str = ""
    sees: str = ""

    @property
    def seen(self) -> str:
        """In the table's words."""
        if self.problem is not None:
            status = self.status or PROBLEMS[self.problem].status
            return f"{status} [`{self.problem}`](../reference/errors.md#{self.problem}){self.sees}"
        return f"it waits: `{self.waits}`{self.sees}" if self.waits else self.sees


KEEP = "Keep the data elsewhere and submit a reference, or raise it."
AGAIN = "Post again with the same key after `Retry-After`: the Python client does by itself."
FAILED = f"the step fails at once: `{CallError.ANSWER_TOO_LARGE}`"
OF_ENGINE = (
    LimitTold("body_bytes_max", KEEP, Problem.TOO_LARGE),
    LimitTold("json_depth_max", "Mend the payload: it is seldom meant.",
              Problem.INVALID_SUBMISSION),
    LimitTold("header_bytes_max", "Send fewer headers; look for cookies that a proxy adds.",
              Problem.HEADERS_TOO_LARGE),
    LimitTold("header_lines_max", "The same.", Problem.HEADERS_TOO_LARGE),
    LimitTold("answer_bytes_max", "Have the endpoint answer with a reference, or raise it and"
              " `retry` the run.", sees=FAILED),
    LimitTold("steps_per_run_max", "Look at the run (`atomic show`): mostly a loop that does not"
              " end. Else split the work into runs.", Problem.LIMIT_EXCEEDED),
    LimitTold("depth_max", "The same: a workflow that calls itself.", Problem.LIMIT_EXCEEDED),
    LimitTold("header_timeout_ms", "A slow network, or a caller that opens connections and says"
              " nothing.", Problem.INVALID_REQUEST, status=408),
    LimitTold("body_timeout_ms", "The same; or post less at once.", Problem.INVALID_REQUEST,
              status=408),
    LimitTold("unread_answer_timeout_ms", "The caller does not read: post again with the same key.",
              sees="the connection is closed"),
    LimitTold("keep_alive_timeout_ms", "Nothing: clients open another. Of a proxy before the engine"
              " the idle time should be shorter.", sees="the connection is closed"),
    LimitTold("connections_max", f"{AGAIN} If it is often: let callers not wait"
              " (`Prefer: respond-async`), or raise it with the descriptors (`LimitNOFILE`).",
              Problem.OVERLOADED, sees=", or the connection is closed"),
    LimitTold("in_flight_max", "Look which host is slow (`atomic status`); raise it only if your"
              " endpoints can take more.", waits=WaitsFor.PLACE),
    LimitTold("in_flight_per_host_max", "The same, of one host.", waits=WaitsFor.PLACE),
    LimitTold("workflows_in_flight_per_host_max", "More workers there, or shorter functions.",
              waits=WaitsFor.WORKFLOW_PLACE),
    LimitTold("runs_in_memory_max", f"{AGAIN} If it is often: `open_runs_max` for who floods.",
              Problem.OVERLOADED),
    LimitTold("memory_bytes_max", f"{AGAIN} If it is often: smaller bodies, or more memory.",
              Problem.OVERLOADED),
    LimitTold("new_runs_wait_ms_max", f"{AGAIN} If it is often: more runs are opened than the"
              " processor or the disk takes ([sizing](sizing.md)).", Problem.OVERLOADED),
    LimitTold("store_bytes_max", "`atomic prune --dry-run`, a shorter `retention_days`, or more"
              " disk and a higher limit.", Problem.STORE_UNAVAILABLE,
              sees=" for posts that open runs"),
)  # fmt: skip
OF_CLIENT = (
    LimitTold("new_runs_per_s", AGAIN, Problem.RATE_LIMITED),
    LimitTold("open_runs_max", f"{AGAIN} Look what its open runs wait for"
              " (`atomic runs --client NAME`).", Problem.TOO_MANY_RUNS),
    LimitTold("in_flight_max", "Its own hosts are slow, or it is meant to be so.",
              waits=WaitsFor.CLIENT_PLACE),
    LimitTold("waiting_callers_max", "Let callers not wait (`Prefer: respond-async`), or close"
              " dashboards and event streams.", Problem.RATE_LIMITED),
    LimitTold("memory_share", f"{AGAIN} If it is often: smaller bodies.", Problem.OVERLOADED),
)  # fmt: skip
OF_HOST = (
    LimitTold("in_flight_max", "More workers there, then raise it.", waits=WaitsFor.PLACE),
    LimitTold("calls_per_s", "What the host allows is what it allows: ask whose it is.",
              waits=WaitsFor.RATE),
)  # fmt: skip
FIXED = (
    LimitTold("a host that fails", "Mend the host: [what the engine does](#a-host-that-fails).",
              waits=WaitsFor.BREAKER, sees=" or `retry-budget`"),
    LimitTold("overdue after a start", "Nothing: it begins with a few at each host.",
              waits=WaitsFor.RAMP),
    LimitTold("a hold", "`atomic holds` says who and why.", waits="release"),
    LimitTold("`backlog_events_max` (100,000)", f"{AGAIN} The disk does not keep up.",
              Problem.OVERLOADED),
    LimitTold("`answer_bytes_max` of a result that is set by hand",
              "Set a reference, or raise it, and `body_bytes_max`, which the request with the"
              " result may not exceed.",
              Problem.TOO_LARGE),
    LimitTold("holds (1,000)", "Release some.", Problem.NOT_POSSIBLE),
    LimitTold("notes (20 of a run, 20 of a cause)", "Of a cause take some back.",
              Problem.NOT_POSSIBLE),
    LimitTold("causes (1,000 with notes or dismissals)", "Take some back.", Problem.NOT_POSSIBLE),
    LimitTold("limits set at run time (10,000)", "`atomic limits reset` some.",
              Problem.NOT_POSSIBLE),
    LimitTold("an address of 2,048 bytes", "Mend the request: it is seldom meant.",
              Problem.INVALID_REQUEST, status=414),
)  # fmt: skip


def limits_table() -> str:
    """The table, as Markdown."""
    defaults = {it.name: it.default for it in settings()}
    rows = ["| limit | unless it is set | one sees | what to do |", "|---|---|---|---|"]
    for it in OF_ENGINE:
        value = defaults[it.name]
        told = (
            f"{value:,}"
            if value
            else "none"
            if it.name != "memory_bytes_max"
            else "a quarter of the memory"
        )
        rows.append(f"| `{it.name}` | {told} | {it.seen} | {it.do} |")
    for whose, limits in (("client's", OF_CLIENT), ("host's", OF_HOST)):
        rows += [f"| {whose} `{it.name}` | none | {it.seen} | {it.do} |" for it in limits]
    rows += [f"| {it.name} | | {it.seen} | {it.do} |" for it in FIXED]
    return "\n".join(rows) + "\n"


def bounding() -> set[str]:
    """The settings of the engine that bound what is taken."""
    ends = ("_max", "_timeout_ms")
    return {it.name for it in settings() if it.name.endswith(ends)}


def of_clients() -> set[str]:
    """The limits of a client."""
    return {*LimitMembers.__struct_fields__}


def of_hosts() -> set[str]:
    """The limits of a host."""
    return {*HostLimits.__struct_fields__}
