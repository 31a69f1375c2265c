"""A slow disk: a library loaded before all others that makes each sync take longer.

On a fast disk a commit takes a millisecond, and what is wrong between an answer and its commit
hides there from any number of kills.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class NoCompiler(Exception):
    """There is nothing to build the library with. The message says what to do."""


def slow_sync(directory: Path, milliseconds: int) -> dict[str, str]:
    """The environment for a process whose syncs take this much longer; {} for 0.

    The library is built into `directory`. Raises NoCompiler.
    """
    if not milliseconds:
        return {}
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NoCompiler(
            "A slow disk was asked for, and there is no C compiler to build it with. Install gcc,"
            " or leave --slow-sync out."
        )
    library = directory / "slow_sync.so"
    command = (compiler, "-O1", "-shared", "-fPIC", "-nostdlib", "-o", library, SOURCE)
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library), "SLOW_SYNC_MS": str(milliseconds)}
