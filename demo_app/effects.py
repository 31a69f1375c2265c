"""Each effect once for each step, however often the engine calls: the idempotency table.

Effects inside our own database (`once`) are written in **one transaction** with the row that
remembers their answer: both or neither, whatever crashes. A second call, even at the same time,
finds the row and gets the first answer.

Effects outside (`once_outside`: mail, another service) cannot share a transaction with us. They
are marked `sending` before and `done` after. In this process a second call waits for the first
one's send, and a caller that hangs up does not stop it. **What remains:** when the process dies
between the two marks nobody can know whether the effect took place. It is then done again: the
other side must tell duplicates by a key (our analytics do), or a person sees them (mail: the same
Message-ID twice). A lost mail would be worse than a second one.

`performed` has no unique key on purpose: it counts what was really done, so a bug would show.
"""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from demo_app.calls import Call
from demo_app.database import transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    own_key TEXT PRIMARY KEY, workflow TEXT NOT NULL, key TEXT NOT NULL, step TEXT NOT NULL,
    calls INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key);
CREATE TABLE IF NOT EXISTS idempotency (
    own_key TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('sending', 'done')),
    response TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS performed (own_key TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS performed_by_own_key ON performed (own_key);
"""

LISTING = """
SELECT workflow, key, step, calls.own_key, calls, state, response,
       (SELECT count(*) FROM performed WHERE performed.own_key = calls.own_key) AS effects
FROM calls LEFT JOIN idempotency USING (own_key)
WHERE :key IS NULL OR key = :key ORDER BY calls.rowid
"""


class Effects:
    """The table of calls, effects and recorded answers."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._under_way: dict[str, asyncio.Task[Any]] = {}

    def count_call(self, call: Call) -> None:
        """One more call for this step, whatever comes of it."""
        with transaction(self._database) as database:
            database.execute(
                "INSERT INTO calls VALUES (?, ?, ?, ?, 1)"
                " ON CONFLICT (own_key) DO UPDATE SET calls = calls + 1",
                (call.own_key, call.workflow, call.key, call.label),
            )

    def once(self, call: Call, effect: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do `effect` in a transaction with its record, or give the recorded answer (JSON)."""
        with transaction(self._database) as database:
            recorded = self._recorded(call)
            if recorded is not None:
                return json.loads(recorded)
            response = effect(database)
            self._record(call, response)
        return response

    async def once_outside(self, call: Call, effect: Callable[[], Awaitable[Any]]) -> Any:
        """The same for an effect that is not in our database; see the head of this file."""
        recorded = self._recorded(call)
        if recorded is not None:
            return json.loads(recorded)
        task = self._under_way.get(call.own_key)
        if task is None:
            task = asyncio.create_task(self._perform(call, effect))
            self._under_way[call.own_key] = task
            task.add_done_callback(lambda done: self._ended(call.own_key, done))
        return await asyncio.shield(task)

    async def wait_idle(self) -> None:
        """Return when no outside effect is under way (and, until the next await, none begins)."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    def listing(self, key: str | None = None) -> list[dict[str, Any]]:
        """A row for each step called: calls, effects really done, state and recorded response."""
        return [
            {
                "workflow": row["workflow"],
                "key": row["key"],
                "step": row["step"],
                "ownKey": row["own_key"],
                "calls": row["calls"],
                "effects": row["effects"],
                "state": row["state"],
                "response": None if row["response"] is None else json.loads(row["response"]),
            }
            for row in self._database.execute(LISTING, {"key": key})
        ]

    async def _perform(self, call: Call, effect: Callable[[], Awaitable[Any]]) -> Any:
        with transaction(self._database) as database:
            database.execute(
                "INSERT INTO idempotency VALUES (?, 'sending', NULL) ON CONFLICT DO NOTHING",
                (call.own_key,),
            )
        response = await effect()
        with transaction(self._database):
            self._record(call, response)
        return response

    def _ended(self, own_key: str, task: asyncio.Task[Any]) -> None:
        del self._under_way[own_key]
        if not task.cancelled():
            task.exception()  # every caller may have hung up: nobody else looks at it

    def _recorded(self, call: Call) -> str | None:
        row = self._database.execute(
            "SELECT response FROM idempotency WHERE own_key = ? AND state = 'done'", (call.own_key,)
        ).fetchone()
        return None if row is None else str(row["response"])

    def _record(self, call: Call, response: Any) -> None:
        self._database.execute("INSERT INTO performed VALUES (?)", (call.own_key,))
        self._database.execute(
            "INSERT INTO idempotency VALUES (?, 'done', ?) ON CONFLICT (own_key)"
            " DO UPDATE SET state = 'done', response = excluded.response",
            (call.own_key, json.dumps(response)),
        )
