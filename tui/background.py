"""Going to the background, and coming back."""

from __future__ import annotations

import os
import signal
from typing import Any

from textual.app import App, SuspendNotSupported


def suspend(app: App[Any]) -> bool:
    """Stop all that belongs to the job, as the terminal's own key does: also `atomic demo` around
    the dashboard, but only when the terminal has been given back. Goes on at `fg`.

    False: there is no terminal that could be given back.
    """
    try:
        with app.suspend():
            os.killpg(0, signal.SIGSTOP)
    except SuspendNotSupported:
        return False
    return True
