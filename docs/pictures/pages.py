"""Draws the pictures of the pages in a browser: `just page-pictures`. Needs Chromium.

They are taken of `atomic demo`, and so of other runs each time: no test draws them anew.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

HERE = Path(__file__).parent
PROGRAMS = ("chromium-headless-shell", "chromium")
GOES_ON_S = 45
"""So long the demonstration has gone on when a picture is taken: there is something of each."""
SIZES = {"ui-home": (1280, 960), "ui-run": (1280, 720)}
STEPS = range(3, 20)
"""Of the run that is shown."""


@contextmanager
def demonstration() -> Iterator[str]:
    """The address of an engine that has something to show."""
    command = (sys.executable, "-m", "engine.cli", "demo", "--plain")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            told = ""
            while (found := re.search(r"--engine (http://[\w.:]+)", told)) is None:
                line = demo.stdout.readline()
                assert line, f"it ended: {told}"
                told += line
            time.sleep(GOES_ON_S)
            yield found[1]
        finally:
            demo.terminate()


def a_run(engine: str) -> str:
    """The id of one of several steps, that has failed if there is one."""
    found = httpx.get(f"{engine}/api/v1/runs", params={"q": "", "limit": "100"}).json()["runs"]
    runs = [run for run in found if run["steps"] in STEPS]
    return str(max(runs, key=lambda run: (run["status"] == "failed", run["steps"]))["id"])


def draw(browser: str, address: str, name: str) -> None:
    """Write a picture of a page as a file."""
    width, height = SIZES[name]
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            (
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={profile}", f"--window-size={width},{height}",
                f"--screenshot={HERE / name}.png", address,
            ),
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def main() -> None:
    """Write the pictures."""
    browser = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if browser is None:
        sys.exit(f"Needs a browser: {' or '.join(PROGRAMS)}.")
    with demonstration() as engine:
        run_id = a_run(engine)
        draw(browser, f"{engine}/ui", "ui-home")
        draw(browser, f"{engine}/ui/runs/{run_id}", "ui-run")


if __name__ == "__main__":
    main()
