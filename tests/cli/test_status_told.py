"""`atomic status` says at which hosts attempts failed lately, and who listens to events."""

from __future__ import annotations

from typing import Any

from tests.client.fake_engine import Atomic, answer


def test_what_failed_at_a_host_is_shown(atomic: Atomic):
    """Where most did first, and of what; a host at which nothing did is left out, and of those
    beyond ten it is said how many there are."""
    host: dict[str, Any] = {"ended": 0, "succeeded": 0, "p95Ms": None, "byMinute": []}
    host |= {"inFlight": 0, "queued": 0}
    results = {"2xx": [900, 51], "5xx": [2, 5], "connection-refused": [0, 42], "x\x1b": [0, 0]}
    rows = [
        {**host, "host": "fine", "results": {"2xx": [4, 4], "suspended": [20, 0]}},
        *({**host, "host": f"ill-{number:02}", "results": {"4xx": [1]}} for number in range(10)),
        {**host, "host": "pay:81", "results": results},
    ]
    lines = atomic("status", answers=[answer({"hosts": rows})]).stdout.splitlines()[1:]
    assert lines[:2] == [
        "pay:81: 49 of 1,000 attempts failed in ten minutes: connection-refused 42, 5xx 7",
        "ill-00: 1 of 1 attempt failed in ten minutes: 4xx 1",
    ]
    assert lines[10:] == ["1 more host where attempts failed"]


def test_who_listens_is_shown(atomic: Atomic):
    """With the one client that a token shows, and of many how many more."""
    since = "2026-11-23T12:00:00.000Z"
    rows = [{"actor": "reader (ana\x1b)", "since": since, "client": "shop"}]
    rows.append({"actor": "http:10.1.2.3", "since": since})
    rows += [{"actor": f"bob{number}", "since": since} for number in range(10)]
    lines = atomic("status", answers=[answer({"listeners": rows})]).stdout.splitlines()[1:]
    assert lines[:2] == [
        "reader (ana\\u001b) listens since 2026-11-23 12:00:00Z, of shop alone",
        "somebody at 10.1.2.3 listens since 2026-11-23 12:00:00Z",
    ]
    assert lines[10:] == ["2 more listen"]
