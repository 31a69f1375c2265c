"""The way of systems that are not Linux (`engine/process/platform/`), as far as Linux can try it.

The tests of the contract are run once more, in a process of their own, with the switch that chooses
it: hang-ups are seen by a sweep, no lock lies on the inode, nothing is read from `/proc`, and
nothing but our own deadlines ends a connection whose other side takes nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHOSEN = (
    "e2e/test_cuts.py", "e2e/test_waiting.py", "front/server/test_server.py",
    "process/test_deadlines.py", "store/test_opening.py",
)  # fmt: skip
"""Where it matters who has left, and whose file it is. Of all of `tests/e2e` one fails, when it was
tried: it names the program that holds a lock, as only `/proc` can."""


@pytest.mark.slow
def test_the_contract_holds_without_what_only_linux_has() -> None:
    """Clients that leave are noticed in time, and a file has one engine."""
    ran = subprocess.run(
        (sys.executable, "-m", "pytest", "-q", "-m", "not system", "--no-header",
         *(f"tests/{name}" for name in CHOSEN)),
        cwd=ROOT, env={**os.environ, "TEST_ATOMIC_PORTABLE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-8_000:] + ran.stderr[-2_000:]


def test_the_switch_chooses_the_other_way() -> None:
    """Without this the test above would try Linux's way twice."""
    code = (
        "from engine.process.platform import hang_ups, sockets\n"
        "print(type(hang_ups.hang_ups()).__name__, len(sockets.unacknowledged(30)))"
    )
    ways = [
        subprocess.check_output(
            (sys.executable, "-c", code), cwd=ROOT, env={**os.environ, **more}, text=True
        ).strip()
        for more in ({"TEST_ATOMIC_PORTABLE": ""}, {"TEST_ATOMIC_PORTABLE": "1"})
    ]
    assert ways == ["EpollHangUps 1", "SweptHangUps 0"]
