"""A run with steps in many states, as the engine answers it."""

from __future__ import annotations

from tests.client.fake_engine import RUN, STEP

ATTEMPT = {
    "number": 1,
    "generation": 1,
    "status": "failure",
    "startedAt": "2026-11-23T12:00:00.000Z",
    "httpStatus": 500,
    "delayMs": 1000,
    "delayBy": "policy",
}
TREE = {
    "run": RUN,
    "serverTime": "2026-11-23T12:00:00.000Z",
    "steps": [
        STEP | {"status": "waiting"},
        STEP
        | {
            "id": "01B",
            "parentId": "01A",
            "name": "createUser",
            "status": "completed",
            "attempts": 4,
            "httpStatus": 201,
            "endedAt": "2026-11-23T12:00:03.100Z",
        },
        STEP | {"id": "01D", "parentId": "01B", "name": "log", "status": "cancelled"},
        STEP
        | {
            "id": "01C",
            "parentId": "01A",
            "name": "sendMail",
            "status": "backing-off",
            "attempts": 3,
            "failures": 3,
            "error": "HTTP 500",
            "dueAt": "2026-11-23T12:00:14.000Z",
            "attemptRows": [ATTEMPT],
        },
        STEP | {"id": "01E", "parentId": "gone", "name": "stray", "status": "dreaming"},
    ],
}
DONE = {"action": "retry", "dryRun": False, "run": RUN, "step": None, "changed": ["01B", "01C"]}
