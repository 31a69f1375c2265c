"""createUser in a closed loop: workflows a second, latency and CPU, every system in turn.

One result for each system, number of callers and round: what the load generator prints (hload.c), with
`mem_mib` (Pss after it) and `other_cores` (what else the machine did meanwhile).
"""

from __future__ import annotations

import time

import load
from forms import Form, Record, say
from systems import SYSTEMS, processes

CALLERS = (1, 50, 200)
CALLERS_MORE = {"atomic": (1_000,)}
WARM_MORE_S = {("dbos-sqlite", 200): 5.0}
"""Where one answer takes seconds, a window that begins at once would see none of most."""


def run(form: Form, record: Record) -> None:
    """Round by round, so that a machine that slows down slows all of them."""
    for turn in range(form.rounds):
        for name in form.systems:
            with processes() as p:
                system = SYSTEMS[name](p)
                time.sleep(1)
                for callers in CALLERS + CALLERS_MORE.get(name, ()):
                    warm_s = form.warm_s + WARM_MORE_S.get((name, callers), 0)
                    result = load.closed_loop(
                        system, callers, warm_s=warm_s, window_s=form.window_s
                    )
                    say(f"{name} {load.line(result)}")
                    record("speed", system=name, round=turn, **result)
