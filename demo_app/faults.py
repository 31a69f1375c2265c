"""Faults on request: each planned fault is used up by one call.

A plan belongs to (workflow key, step label) and is a list such as `["404", "hang", "slow:300"]`.
It is kept in SQLite, so a crash of the application goes on where it stopped. Plans come from the
payload's member `faults` (`{"sendAnalytics": ["404"]}`), from `POST /faults`, or are drawn from a
seed.

| fault | the call |
|---|---|
| `404`, `500`, … (300-599) | is answered so; no effect |
| `refuse:REASON` | is answered 422 with this reason, and that it is not to be retried; no effect |
| `retry-after:S` | is answered 503 with `Retry-After: S` (seconds); no effect |
| `hang` | is never answered; no effect |
| `slow:MS` | is answered normally, after so many milliseconds |
| `drop` | has its effect, then loses its connection without an answer |
| `crash` | has its effect, then the whole process dies |

The crash waits until no mail is half sent: of such a mail nobody could say whether it counts (see
`effects.py`). For less courtesy, kill the process.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Never

from demo_app.calls import Answer, Call, Handler
from demo_app.database import transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS faults (
    key TEXT NOT NULL, step TEXT NOT NULL, plan TEXT NOT NULL, used INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (key, step)
) STRICT;
"""

PLANNED = "fault"
"""What a fault's answer says: the engine records it as the reason of the attempt."""
FAULTS_MAX = 100
SLOW_MAX_MS = 600_000
RETRY_AFTER_MAX_S = 3_600
REASON_CHARS_MAX = 200

Draw = Callable[[str, str], Sequence[str]]


class BadFault(ValueError):
    """A fault that does not exist. The message is for a person."""


@dataclass(frozen=True)
class World:
    """What a fault does to the world: dropping the connection being answered, dying, waiting."""

    drop: Callable[[], None]
    crash: Callable[[], Awaitable[Never]] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


def parse_fault(text: str) -> tuple[str, int]:
    """The fault's kind and its number: status, seconds or milliseconds; else 0. Raises BadFault."""
    kind, _, number = text.partition(":")
    if text in ("hang", "drop", "crash"):
        return text, 0
    if text.isdecimal() and 300 <= int(text) <= 599:
        return "status", int(text)
    if kind == "refuse" and 0 < len(number) <= REASON_CHARS_MAX:
        return kind, 0
    limits = {"slow": SLOW_MAX_MS, "retry-after": RETRY_AFTER_MAX_S}
    if kind in limits and number.isdecimal() and int(number) <= limits[kind]:
        return kind, int(number)
    raise BadFault(
        f"no fault {text!r}: a status 300-599, hang, drop, crash, slow:MS, retry-after:SECONDS or"
        f" refuse:REASON of up to {REASON_CHARS_MAX} characters"
    )


class Faults:
    """The plans. With `draw`, a step without a plan gets one from the seeded scenario."""

    def __init__(
        self, database: sqlite3.Connection, *, may_crash: bool = False, draw: Draw | None = None
    ) -> None:
        self._database = database
        self._may_crash = may_crash
        self._draw = draw

    def check(self, plan: Any) -> list[str]:
        """The plan, if it is a list of faults this application can make. Raises BadFault."""
        if not isinstance(plan, list) or len(plan) > FAULTS_MAX:
            raise BadFault(f"faults are a list of at most {FAULTS_MAX}")
        for fault in plan:
            kind, _ = parse_fault(str(fault))
            if kind == "crash" and not self._may_crash:
                raise BadFault("crash needs an application that runs as its own process")
        return [str(fault) for fault in plan]

    def plan(self, key: str, step: str, plan: Any) -> None:
        """Plan faults for one step from now on; an earlier plan is replaced. Raises BadFault."""
        with transaction(self._database) as database:
            database.execute(
                "INSERT OR REPLACE INTO faults VALUES (?, ?, ?, 0)",
                (key, step, json.dumps(self.check(plan))),
            )

    def plan_from_payload(self, key: str, payload: Any) -> None:
        """Plan what the payload's `faults` asks for. Raises BadFault.

        A plan that exists stays: the same payload comes with every attempt of the workflow, and
        faults already used must not come back.
        """
        faults = payload.get("faults") if isinstance(payload, dict) else None
        if faults is None:
            return
        if not isinstance(faults, dict):
            raise BadFault("faults in a payload are an object: step to list")
        plans = [(key, str(step), json.dumps(self.check(plan))) for step, plan in faults.items()]
        with transaction(self._database) as database:
            database.executemany("INSERT OR IGNORE INTO faults VALUES (?, ?, ?, 0)", plans)

    def take(self, key: str, step: str) -> str | None:
        """The fault for this call, which is used up by it."""
        with transaction(self._database) as database:
            if self._draw is not None:
                drawn = json.dumps(list(self._draw(key, step)))
                database.execute(
                    "INSERT OR IGNORE INTO faults VALUES (?, ?, ?, 0)", (key, step, drawn)
                )
            row = database.execute(
                "UPDATE faults SET used = used + 1 WHERE key = ? AND step = ?"
                " AND used < json_array_length(plan) RETURNING plan, used",
                (key, step),
            ).fetchone()
        return None if row is None else str(json.loads(row["plan"])[row["used"] - 1])

    def listing(self) -> list[dict[str, Any]]:
        """Every plan and how much of it is used."""
        rows = self._database.execute("SELECT * FROM faults ORDER BY rowid")
        return [{**dict(row), "plan": json.loads(row["plan"])} for row in rows]


async def answer_with(fault: str | None, handler: Handler, call: Call, world: World) -> Answer:
    """Answer the call with its fault. `drop` and `hang` return only by cancellation."""
    kind, number = ("", 0) if fault is None else parse_fault(fault)
    match kind:
        case "status":
            return Answer({"error": PLANNED}, number)
        case "refuse":
            assert fault is not None, "a kind is of a fault"
            reason = fault.partition(":")[2]
            return Answer({"error": reason}, 422, {"Atomic-No-Retry": "true"})
        case "retry-after":
            return Answer({"error": PLANNED}, 503, {"Retry-After": str(number)})
        case "hang":
            await _wait_cancelled()
        case "slow":
            await world.sleep(number / 1000)
    answer = await handler(call)
    match kind:
        case "drop":
            world.drop()
            await _wait_cancelled()
        case "crash":
            assert world.crash is not None, "plans with a crash are refused without one"
            await world.crash()
    return answer


async def _wait_cancelled() -> Never:
    """Until the caller is gone: the server then cancels the request."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")
