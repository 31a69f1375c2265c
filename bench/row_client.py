"""The application's client: createUser from 50 callers while so many posts of the application hang.

One result for each library, event loop, number of hanging posts and round: what the load generator prints,
with `lib`, `loop`, `tls`, `hanging`. The 50 callers' own workflows are 50 of the hanging posts; the rest are
posted by one run of `hold`, whose steps have failed and are tried again in an hour. So the engine has the
same to do at each number, and what grows is what a post costs the application.
On Trio it is served by Hypercorn, which costs more than uvicorn: figures of the two loops are no match.
"""

from __future__ import annotations

import asyncio
import json
import time

import load
import machine
from forms import Form, Record, say
from http1 import Connection
from systems import System, atomic, processes, submission

CALLERS = 50
ASYNCIO = ("aiohttp", "httpx", "httpx2", "httpx-aiohttp", "engine.client")
TRIO = ("httpx", "httpx2", "engine.client")
OVER_TLS = ("aiohttp", "engine.client")
TLS_HANGING = 200
HOLD_S_MAX = 120
"""How long the library may take to post what is to hang."""
ENGINE = {"ATOMIC_SUSPEND_AFTER_MS": "3600000", "ATOMIC_STANDSTILL_MS": "3600000"}
"""Nobody is sent home."""


async def _hold(system: System, posts: int) -> None:
    """Let the application post this many that hang."""
    body = submission(system.app_port, "hold", {"posts": posts}).replace("%K", f"hold{posts}")
    engine, app = Connection(system.port), Connection(system.app_port)
    status, _, text = await engine.request("POST", "/bench", body, Prefer="respond-async")
    assert status == 202, text
    end = time.time() + HOLD_S_MAX
    while (there := await app.get("/held")) < posts:
        if time.time() > end:
            raise TimeoutError(f"{there} of {posts} posts hang after {HOLD_S_MAX} s")
        await asyncio.sleep(0.2)
    engine.close()
    app.close()


def _measure(form: Form, record: Record, lib: str, hanging: int, turn: int, **how: object) -> None:
    loop, tls = str(how.get("loop", "uvloop")), bool(how.get("tls"))
    with processes() as p:
        system = atomic(p, lib, loop=loop, tls=tls, **ENGINE)
        time.sleep(1)
        if hanging > CALLERS:
            try:
                asyncio.run(_hold(system, hanging - CALLERS))
            except TimeoutError as error:  # so slow is httpx: no figure, and the others go on
                say(f"{lib} on {loop}: {error}")
                return
        result = load.closed_loop(system, CALLERS, warm_s=form.warm_s, window_s=form.window_s)
    say(f"{lib} on {loop}{' over TLS' if tls else ''}, {hanging} hang: {load.line(result)}")
    record("client", lib=lib, loop=loop, tls=tls, hanging=hanging, round=turn, **result)


def run(form: Form, record: Record) -> None:
    """Round by round, the libraries in turn, so that a machine that slows down slows all of them."""
    machine.raise_fd_limit()
    for turn in range(form.rounds):
        for hanging in form.hanging_posts:
            for lib in ASYNCIO:
                _measure(form, record, lib, hanging, turn)
            for lib in TRIO:
                _measure(form, record, lib, hanging, turn, loop="trio")
        for lib in OVER_TLS:
            _measure(form, record, lib, TLS_HANGING, turn, tls=True)
