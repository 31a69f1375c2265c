"""What had another name: who uses the old one is told the new one. CHANGELOG has the same table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

NAMES = {
    "step": "workflow(…).step(url, payload)",
    "runs": "operate.runs, and its `q` is `filter`",
    "run_page": "operate.run_page, and its `q` is `filter`",
    "run": "operate.run",
    "step_row": "operate.step",
    "causes": "operate.causes",
    "retry_page": "operate.retry_page, and its `q` is `filter`",
    "act": "operate.act",
    "bulk": "operate.bulk, and its `q` is `filter`",
    "bulk_jobs": "operate.bulk_jobs",
    "bulk_job": "operate.bulk_job",
    "bulk_abort": "operate.bulk_abort",
    "payload": "operate.payload",
    "answer": "operate.answer",
    "status": "operate.status",
    "events": "operate.events",
}
"""Of a client: the name of before, and what it is now."""
FORMS = {
    "submit": "submit(workflow, client=…, url=…, key=…, payload=…)",
    "workflow": "workflow(name, client=…, key=…, headers=…)",
}
"""Methods whose arguments stood in a row, and how they are called now."""


class Renamed:
    """A client, of which somebody may ask an old name."""

    if not TYPE_CHECKING:  # a type checker knows which names there are

        def __getattr__(self, name: str) -> NoReturn:
            it = f"{type(self).__name__}.{name}"
            new = NAMES.get(name)
            what = f"{it} is now {new}" if new else f"there is no {it}"
            raise AttributeError(what, name=name, obj=self)  # Python adds "Did you mean …?"


def new_form(function: Callable[P, T]) -> Callable[P, T]:
    """A method that tells its new form to who calls it in the old one."""

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> T:
        _check_form(function.__name__, len(args), named)
        return function(*args, **named)

    return call


def async_new_form(function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The same for one that is awaited: it stays a coroutine function, which `inspect` and
    `create_autospec` must see in an application's tests."""

    @wraps(function)
    async def call(*args: P.args, **named: P.kwargs) -> T:
        _check_form(function.__name__, len(args), named)
        return await function(*args, **named)

    return call


def _check_form(name: str, positional: int, named: dict[str, Any]) -> None:
    """Raises TypeError for more in a row than the client itself and one, and for an old name."""
    if name in FORMS:
        if positional > 2 or "workflow_name" in named:
            raise TypeError(f"{name}() is called so now: {FORMS[name]}")
    elif "q" in named:
        raise TypeError(f"{name}() has `filter` where it had `q`")
