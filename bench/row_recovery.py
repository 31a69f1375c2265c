"""kill -9 with thousands of createUser in flight, a restart at once, callers that post again.

Every step sleeps SLEEP_S. The server is killed when half of the workflows have ended their first step, and
started again at once; every caller whose connection broke posts the same key again until it is answered.

`excess_s` = (last answer - kill) - own time. Own time is what the steps themselves still had to do, had the
server been back at the moment of the kill: 2 x SLEEP_S if any workflow had not ended its first step (its
step must run again from its beginning, and two more follow in parallel), else SLEEP_S. So the excess holds
the process's start, the reading of its record, back-off, and whatever was slower than it could be. It is
taken from the answers and from the log that the steps' endpoints write, for every system alike.

`lost`: workflows without a right answer (the key's own) after LIMIT_S. `recorded`: runs that are completed
in the engine's record. `again`: executions of steps beyond one for each step.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import machine
from forms import Form, Record, say
from http1 import Connection
from loader import new_key
from systems import HOME, SYSTEMS, System, processes

SLEEP_S = 5.0
LIMIT_S = 180
KILL_WITHIN_S = 120
POST_AGAIN_S = 0.1
SETTINGS = {"ATOMIC_IN_FLIGHT_MAX": "8192", "ATOMIC_IN_FLIGHT_PER_HOST_MAX": "8192"}
"""All steps of 2,000 workflows sleep at once on one host: its default of 512 would make them queue."""


async def _caller(system: System, key: str, answers: dict[str, tuple[float, bytes]]) -> None:
    """Posts until it is answered; notes when, and the answer."""
    connection, body = Connection(system.port), system.body.replace("%K", key)
    while True:
        try:
            status, _, text = await connection.request(
                "POST", system.path, body, Idempotency_Key=key
            )
            if 200 <= status < 300:
                answers[key] = (time.time(), text)
                connection.close()
                return
        except (OSError, EOFError):
            pass
        await asyncio.sleep(POST_AGAIN_S)


def _ended_first(log: Path) -> set[str]:
    """Ids whose first step has ended, by the steps' log."""
    lines = (line.split() for line in log.read_text().splitlines())
    return {words[3] for words in lines if len(words) == 4 and words[1:3] == ["end", "createUser"]}


async def _until_half(log: Path, count: int) -> None:
    end = time.time() + KILL_WITHIN_S
    while len(_ended_first(log)) < count / 2 and time.time() < end:
        await asyncio.sleep(0.1)


async def _recover(system: System, count: int, log: Path) -> dict[str, Any]:
    answers: dict[str, tuple[float, bytes]] = {}
    keys = [new_key() for _ in range(count)]
    callers = [asyncio.create_task(_caller(system, key, answers)) for key in keys]
    await _until_half(log, count)
    assert system.restart is not None
    killed, before = time.time(), set(answers)
    ended_first = _ended_first(log)
    await asyncio.to_thread(system.restart)
    started = time.time()
    await asyncio.wait(callers, timeout=LIMIT_S)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    own_s = 2 * SLEEP_S if len(ended_first) < count else SLEEP_S
    last = max((at for at, _ in answers.values()), default=killed)
    right = [k for k, (_, text) in answers.items() if text.count(k.encode()) >= 3 and b"sendAnalytics" in text]
    starts = Counter(tuple(line.split()[2:4]) for line in log.read_text().splitlines() if " start " in line)
    return {
        "runs": count, "in_flight": count - len(before), "ended_first": len(ended_first),
        "own_s": own_s, "took_s": last - killed, "excess_s": last - killed - own_s,
        "port_open_s": started - killed, "lost": count - len(right),
        "again": sum(starts.values()) - len(starts),
    }  # fmt: skip


async def _run(name: str, form: Form, record: Record) -> None:
    log = HOME / "steps.log"
    log.unlink(missing_ok=True)
    log.touch()
    env = SETTINGS if name == "atomic" else {}
    with processes() as p:
        app_env = {"SLEEP": str(SLEEP_S), "STEPLOG": str(log)}
        system = SYSTEMS[name](p, app_env=app_env, **env)
        values = await _recover(system, form.recovered_runs, log)
        if name == "atomic":
            counts = (await Connection(system.port).get("/api/v1/status"))["counts"]
            values |= {"recorded": counts.get("completed", 0), "counts": counts}
    say(f"{name} {values}")
    record("recovery", system=name, **values)


def run(form: Form, record: Record) -> None:
    """Ours, and in the full form the peers."""
    machine.raise_fd_limit()
    peers = ("restate-calls", "dbos-sqlite") if form.peers_everywhere else ()
    for turn in range(form.rounds):
        for name in ("atomic", *(peers if turn == 0 else ())):
            asyncio.run(_run(name, form, record))
