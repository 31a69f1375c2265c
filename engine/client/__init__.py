"""The Python client of an Atomic engine.

`AsyncClient` runs on asyncio and on Trio, `Client` blocks and is for scripts::

    async with AsyncClient("http://127.0.0.1:8420") as atomic:
        outcome = await atomic.submit("shop", "createUser", url, key, {"userName": "ada"})
        print(outcome.response)

`docs/reference/client.md` has the whole of it.
"""

from engine.client.aio import AsyncClient, AsyncWorkflow
from engine.client.blocking import Client, Workflow
from engine.client.calls import (
    DEFAULT_ENGINE,
    BodyPart,
    Open,
    Outcome,
    Repost,
    Reposts,
    SubmitOptions,
)
from engine.client.errors import (
    AtomicError,
    NothingKnown,
    ProblemError,
    Refused,
    RunCancelled,
    StepFailed,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from engine.client.feed import AsyncEvents, Event, Events
from engine.wire import Action, RetryPolicy

__all__ = [
    "DEFAULT_ENGINE",
    "Action",
    "AsyncClient",
    "AsyncEvents",
    "AsyncWorkflow",
    "AtomicError",
    "BodyPart",
    "Client",
    "Event",
    "Events",
    "NothingKnown",
    "Open",
    "Outcome",
    "ProblemError",
    "Refused",
    "Repost",
    "Reposts",
    "RetryPolicy",
    "RunCancelled",
    "StepFailed",
    "SubmitOptions",
    "UnexpectedAnswer",
    "Unreachable",
    "WaitTimeout",
    "Workflow",
]
