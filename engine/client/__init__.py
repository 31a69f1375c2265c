"""The Python client of an Atomic engine.

`AsyncClient` runs on asyncio and on Trio, `Client` blocks and is for scripts::

    async with AsyncClient() as atomic:  # the engine of ATOMIC_URL, else this machine's
        outcome = await atomic.submit("createUser", url=url, key=key, payload=user)
        print(outcome.response)

`docs/reference/client.md` has the whole of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine import DEFAULT_ENGINE

if TYPE_CHECKING:
    from engine.client.aio.client import AsyncClient, AsyncWorkflow
    from engine.client.aio.events import AsyncEvents
    from engine.client.aio.operate import AsyncOperations
    from engine.client.answers import BodyPart, Open, Outcome
    from engine.client.blocking.client import Client, Workflow
    from engine.client.blocking.events import Events
    from engine.client.blocking.operate import Operations
    from engine.client.errors import (
        AtomicError,
        NothingKnown,
        ProblemError,
        Refused,
        RunCancelled,
        StepFailed,
        Suspended,
        UnexpectedAnswer,
        Unreachable,
        WaitTimeout,
    )
    from engine.client.tries import Repost, Reposts
    from engine.client.uncaught import EngineAnswer, PassOn, answer_of, pass_on
    from engine.wire import Action, Event, Fact, Other, Reset, RetryPolicy, SubmitOptions

__all__ = [
    "DEFAULT_ENGINE",
    "Action",
    "AsyncClient",
    "AsyncEvents",
    "AsyncOperations",
    "AsyncWorkflow",
    "AtomicError",
    "BodyPart",
    "Client",
    "EngineAnswer",
    "Event",
    "Events",
    "Fact",
    "NothingKnown",
    "Open",
    "Operations",
    "Other",
    "Outcome",
    "PassOn",
    "ProblemError",
    "Refused",
    "Repost",
    "Reposts",
    "Reset",
    "RetryPolicy",
    "RunCancelled",
    "StepFailed",
    "SubmitOptions",
    "Suspended",
    "UnexpectedAnswer",
    "Unreachable",
    "WaitTimeout",
    "Workflow",
    "answer_of",
    "pass_on",
]

_HOMES = (
    "engine.client.errors", "engine.wire", "engine.client.uncaught", "engine.client.answers",
    "engine.client.tries", "engine.client.aio.events", "engine.client.aio.client",
    "engine.client.blocking.events", "engine.client.blocking.client",
)  # fmt: skip
"""Where names live, the lightest to import first. A name is imported when it is asked for (PEP
562): who needs the errors alone, as the dashboard's first picture, does not wait for httpx."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(import_module, _HOMES):
            if hasattr(module, name):
                value = globals()[name] = getattr(module, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
