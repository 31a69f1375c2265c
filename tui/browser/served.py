"""The dashboard's end of the pipe to `serve.py`, which has a browser on the other end."""

from __future__ import annotations

import os
import sys

from textual.drivers.web_driver import WebDriver


class ServedDriver(WebDriver):
    """Textual's own goes on when the server was killed: unseen, and asking the engine for ever."""

    def run_input_thread(self) -> None:
        """Read until nobody can write any more. Then there is no screen to be put right either."""
        super().run_input_thread()
        if not self.exit_event.is_set():
            os._exit(1)


if __name__ == "__main__":
    from tui.start import Start, run

    sys.exit(run(Start.of(sys.argv[1])))
