"""The clipboard: through a program that says whether it has the text, or through the terminal.

A terminal that is sent a text (OSC 52) does not answer: it may take it, ask, or be forbidden to. So
a program of the desktop is asked first. Over SSH there is none that would be the operator's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import NamedTuple

TOOL_S_MAX = 2.0
"""How long a program may take to accept a text."""
OSC_52_BASE64_BYTES_MAX = 74_994
"""What xterm, and others after it, take at once."""


class Tool(NamedTuple):
    """A program that puts its input on the clipboard."""

    words: tuple[str, ...]
    encoding: str = "utf-8"


TOOLS: tuple[tuple[str, Tool], ...] = (
    ("WAYLAND_DISPLAY", Tool(("wl-copy",))),
    ("DISPLAY", Tool(("xclip", "-selection", "clipboard", "-in"))),
    ("DISPLAY", Tool(("xsel", "--clipboard", "--input"))),
    ("WSL_DISTRO_NAME", Tool(("clip.exe",), "utf-16-le")),
)
"""By the variable that says where they work."""
MAC = Tool(("pbcopy",))


def tool(
    environment: Mapping[str, str] = os.environ,
    which: Callable[[str], str | None] = shutil.which,
    platform: str = sys.platform,
) -> Tool | None:
    """The program to copy with, if there is one."""
    if environment.get("SSH_CONNECTION"):
        return None
    fitting = [each for variable, each in TOOLS if environment.get(variable)]
    if platform == "darwin":
        fitting = [MAC]
    return next((each for each in fitting if which(each.words[0])), None)


def give(tool: Tool, text: str) -> bool:
    """Give a program the text; whether it says that it has it."""
    try:
        ran = subprocess.run(
            tool.words,
            input=text.encode(tool.encoding),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_S_MAX,
            check=False,
            start_new_session=True,  # some stay to answer who pastes, also when the terminal goes
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0


def terminal_takes(text: str) -> bool:
    """Whether it is short enough to be sent to a terminal."""
    return len(b64encode(text.encode())) <= OSC_52_BASE64_BYTES_MAX
