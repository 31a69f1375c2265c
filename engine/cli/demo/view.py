"""`python -m engine.cli.demo.view URL`: the dashboard of `atomic demo`, loaded while others start.

What it stands on takes as long to import as an engine to start. Nothing is drawn before the engine
listens, or the first thing to be seen would be that it cannot be reached.
"""

from __future__ import annotations

import importlib
import signal
import socket
import sys
import threading
from urllib.parse import urlsplit

WAIT_S = 0.02
FILTER = "age:<5m"
"""What has ended is shown too: most runs of the mix are over in a moment."""


def main(url: str) -> None:
    """Load the dashboard, wait for the engine, and show it. Waits until it is ended if none comes:
    who started us knows when to give up."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    importlib.import_module("tui.start")
    address = urlsplit(url)
    pause = threading.Event().wait
    while not _listens(address.hostname or "", address.port or 0):
        pause(WAIT_S)
    from engine.cli.main import main as atomic

    signal.signal(signal.SIGINT, signal.default_int_handler)
    atomic(["tui", url, "--board", "home", "--filter", FILTER], prog_name="atomic")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port)).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1])
