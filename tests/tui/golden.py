"""Texts that are compared whole. `GOLDEN=write` in the environment writes them anew: look at the
difference before you keep it.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def same(name: str, text: str) -> None:
    """Fail unless the text is the one that was kept under this name."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    kept = path.read_text()
    lines = kept.splitlines(), text.splitlines()
    different = difflib.unified_diff(*lines, "kept", "now", n=0, lineterm="")
    assert text == kept, "\n".join([f"{path.name}; GOLDEN=write keeps what is now", *different])
