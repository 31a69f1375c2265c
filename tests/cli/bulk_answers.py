"""What an engine answers about bulk jobs."""

from __future__ import annotations

from tests.client.fake_engine import RUN

WOULD = {
    "id": None, "state": "dry-run", "action": "retry", "q": "is:failed", "matched": 12, "total": 11,
    "done": 0, "skipped": {"it is paused": 1}, "ratePerS": 20, "sample": ["01A"],
    "sampleRuns": [RUN],
}  # fmt: skip
JOB = WOULD | {
    "id": "01J", "state": "running", "actor": "ada@laptop", "reason": "up\x1b",
    "startedAt": "2026-11-23T12:00:00.000Z", "sample": [], "sampleRuns": [],
}  # fmt: skip
DONE = JOB | {
    "state": "done", "done": 10, "skipped": {"it is paused": 1, "revision-changed": 1},
    "reasons": {},
}  # fmt: skip
RETRY = ("bulk", "retry", "--filter", "is:failed")
