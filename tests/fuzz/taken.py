"""What a parser makes of a stranger's bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Why = TypeVar("Why", bound=Exception)


def refusal_of(kind: type[Why], parse: Callable[..., object], *given: object) -> Why | None:
    """Why they were refused; None: they were taken. Whatever else is raised is a bug."""
    try:
        parse(*given)
    except kind as why:
        return why
    return None
