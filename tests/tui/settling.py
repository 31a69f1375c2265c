"""The tests' way of waiting for Textual: until nothing is left to do, not for a while."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from textual._context import active_app

PATIENCE_S = 10.0


async def settled(*_: float) -> None:
    """Return when no callback is ready to run and what is to be drawn has been drawn.

    In place of Textual's `wait_for_idle`, which sleeps 20 ms at least, and goes on until the
    process used next to no processor time for as long. What waits for Textual's next frame, the
    picture or another size, has it at once.
    """
    loop: Any = asyncio.get_running_loop()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        await asyncio.sleep(0)
        if loop._ready:
            continue
        app: Any = active_app.get()
        if app._resize_timer is not None:
            app._check_resize()
        elif app.screen_stack and app.screen._update_timer._active.is_set():
            app.screen._on_timer_update()
        else:
            return
    raise TimeoutError("the dashboard never had nothing to do")
