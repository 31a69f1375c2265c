"""Other work than createUser, on the engine alone: workflows a second and latency.

chain: 10 steps one after the other. fanOut: 100 steps in parallel. large: createUser whose payload of 16 KiB
goes to each step. failing: createUser of whose steps' attempts every fifth answers 500, back-off 10 ms.
"""

from __future__ import annotations

import time
from typing import Any

import load
from forms import Form, Record, say
from systems import CREATE_USER, atomic, processes, submission

SHAPES: dict[str, tuple[int, str, dict[str, Any], dict[str, str]]] = {
    "chain": (50, "link10", CREATE_USER, {}),
    "fanOut": (4, '"steps": 100', CREATE_USER, {}),
    "large": (50, "sendAnalytics", {"id": "%K", "text": "x" * (16 * 1024)}, {}),
    "failing": (50, "sendAnalytics", CREATE_USER, {"FAIL": "0.2"}),
}
"""By workflow: callers, what the right answer holds, payload, environment of the application."""


def run(form: Form, record: Record) -> None:
    """Each on an engine and a file of its own."""
    for turn in range(form.rounds):
        for workflow, (callers, expected, payload, app_env) in SHAPES.items():
            with processes() as p:
                system = atomic(p, app_env=app_env)
                time.sleep(1)
                body = submission(system.app_port, workflow, payload)
                result = load.closed_loop(
                    system,
                    callers,
                    body=body,
                    expected=expected,
                    warm_s=form.warm_s,
                    window_s=form.window_s,
                )
            say(f"{workflow} {load.line(result)}")
            record("shapes", shape=workflow, round=turn, **result)
