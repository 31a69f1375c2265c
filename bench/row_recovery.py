"""kill -9 with thousands of createUser in flight, a restart at once.

Every step sleeps, long enough for all workflows to be posted meanwhile. The server is killed when a tenth of
the workflows have ended their first step, and started again at once.

`excess_s` = (end - kill) - own time. Own time is what the steps themselves still had to do, had the server
been back at the moment of the kill: two sleeps if any workflow had not ended its first step (its step must
run again from its beginning, and two more follow in parallel), else one. So the excess holds the process's
start, the reading of its record, back-off, and whatever was slower than it could be.

On the engine a caller waits for each workflow; when its connection breaks it posts the same key again until
it is answered, and the end is the last right answer. On the peers the posts are acknowledged and nobody
waits (Restate 1.7.12 stalls for minutes when 2,000 callers come back at once), and the end is when the last
of the last steps ended by the log that the steps write. That is kind to the peers: an answer comes later.
`steps_excess_s` is the same by that log for the engine, too.

`lost`: workflows without a right answer (peers: without the end of both last steps) within LIMIT_S.
`recorded`: runs that are completed in the engine's record. `again`: executions of steps beyond one for each.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from forms import Form, Record, say
from http1 import Connection
from loader import new_key
from systems import HOME, SYSTEMS, System, processes

SLEEP_S = 10.0
SLEEP_S_SLOW = {"dbos-sqlite": 50.0}
"""Where it takes longer to post them all (its application gives each step 60 s)."""
ENDED_FIRST = 0.1
"""Which share of the workflows have ended their first step when the server is killed."""
LIMIT_S = 300
KILL_WITHIN_S = 120
POST_AGAIN_S = 0.5
"""On average. Callers that ask ten times a second would be a load of their own: 20,000 connections a second."""
STARTERS = 50
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
        await asyncio.sleep(POST_AGAIN_S * random.uniform(0.5, 1.5))


def _log(log: Path) -> list[tuple[float, str, str, str]]:
    """What the steps wrote: when, start or end, step, id."""
    words = (line.split() for line in log.read_text().splitlines())
    return [(float(each[0]), each[1], each[2], each[3]) for each in words if len(each) == 4]


def _ended(log: Path, *steps: str) -> set[str]:
    """Ids of which all these steps have ended at least once."""
    ends = {(step, id) for _, what, step, id in _log(log) if what == "end"}
    return set.intersection(*({id for step, id in ends if step == wanted} for wanted in steps))


async def _start(system: System, keys: list[str]) -> None:
    """Post them all, over a few connections; each is acknowledged, none waited for."""

    async def some(part: list[str]) -> None:
        connection = Connection(system.port)
        for key in part:
            body = system.body.replace("%K", key)
            answer = await connection.request("POST", system.start_path, body, Idempotency_Key=key)
            assert 200 <= answer[0] < 300, answer
        connection.close()

    await asyncio.gather(*(some(keys[first::STARTERS]) for first in range(STARTERS)))


async def _until(done: Callable[[], bool], limit_s: float) -> None:
    end = time.time() + limit_s
    while not done() and time.time() < end:
        await asyncio.sleep(0.2)


async def _recover(system: System, count: int, sleep_s: float, log: Path) -> dict[str, Any]:
    answers: dict[str, tuple[float, bytes]] = {}
    keys, callers, last_steps = (
        [new_key() for _ in range(count)],
        [],
        ("sendEmail", "sendAnalytics"),
    )
    if system.start_path:
        posting = asyncio.create_task(_start(system, keys))
    else:
        callers = [asyncio.create_task(_caller(system, key, answers)) for key in keys]
    await _until(lambda: len(_ended(log, "createUser")) >= count * ENDED_FIRST, KILL_WITHIN_S)
    if system.start_path:
        await posting
    assert system.restart is not None
    killed, ended_first = time.time(), _ended(log, "createUser")
    in_flight = count - len(_ended(log, *last_steps) if system.start_path else answers)
    await asyncio.to_thread(system.restart)
    started = time.time()
    if callers:
        await asyncio.wait(callers, timeout=LIMIT_S)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
    else:
        await _until(lambda: len(_ended(log, *last_steps)) >= count, LIMIT_S)
    own_s = 2 * sleep_s if len(ended_first) < count else sleep_s
    ends: dict[tuple[str, str], float] = {}
    for at, what, step, id in _log(log):
        if what == "end":
            ends.setdefault((step, id), at)
    last_step = max((at for (step, _), at in ends.items() if step in last_steps), default=killed)
    right = [key for key, (_, text) in answers.items() if text.count(key.encode()) >= 3]
    last = max((at for at, _ in answers.values()), default=killed) if callers else last_step
    lost = count - (len(right) if callers else len(_ended(log, *last_steps)))
    starts = Counter((step, id) for _, what, step, id in _log(log) if what == "start")
    return {
        "runs": count, "in_flight": in_flight, "ended_first": len(ended_first),
        "own_s": own_s, "took_s": last - killed, "excess_s": None if lost else last - killed - own_s,
        "steps_excess_s": last_step - killed - own_s, "port_open_s": started - killed, "lost": lost,
        "again": sum(starts.values()) - len(starts),
    }  # fmt: skip


async def _run(name: str, form: Form, record: Record, turn: int) -> None:
    log = HOME / "steps.log"
    log.unlink(missing_ok=True)
    log.touch()
    env = SETTINGS if name == "atomic" else {}
    sleep_s = SLEEP_S_SLOW.get(name, SLEEP_S)
    with processes() as p:
        app_env = {"SLEEP": str(sleep_s), "STEPLOG": str(log)}
        system = SYSTEMS[name](p, app_env=app_env, **env)
        values = await _recover(system, form.recovered_runs, sleep_s, log)
        if name == "atomic":
            counts = (await Connection(system.port).get("/api/v1/status"))["counts"]
            values |= {"recorded": counts.get("completed", 0), "counts": counts}
    say(f"{name} {values}")
    record("recovery", system=name, round=turn, **values)


def run(form: Form, record: Record) -> None:
    """Ours each round; in the full form the peers too, once: they take minutes."""
    machine.raise_fd_limit()
    peers = ("restate-calls", "dbos-sqlite") if form.peers_everywhere else ()
    for turn in range(form.rounds):
        for name in ("atomic", *(peers if turn == 0 else ())):
            asyncio.run(_run(name, form, record, turn))
