"""A start that fails says why, and ends with 2."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.process.exits import EXIT_USAGE


def said(*options: str) -> str:
    """What the operator reads on a start with these options, which must fail."""
    command = (sys.executable, "-m", "engine.cli", "serve", *options)
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == EXIT_USAGE
    return ran.stderr


@pytest.mark.slow
def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The address is named and nothing is said of the file, which is not touched."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = said("--port", str(port), "--db", str(tmp_path / "a.db"))
    assert text == (
        f"atomic: cannot start: 127.0.0.1:{port}: another program listens there. Choose another"
        " --port, and tell the other commands: export ATOMIC_URL=http://127.0.0.1:PORT.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_file_that_cannot_be_had(tmp_path: Path) -> None:
    """The file is named and nothing is said of the port."""
    text = said("--port", "0", "--db", str(tmp_path / "no" / "a.db"))
    assert f"the directory {tmp_path / 'no'} does not exist" in text
    assert "port" not in text
    assert text.count("\n") == 1
