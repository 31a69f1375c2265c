"""Makes the blocking client (`engine/client/blocking/`) from the asynchronous one (`aio/`).

Run it by `just blocking`; a test fails when it was forgotten. Where the two differ in more than
words, the difference stands in a file that both import: `transport.py`, `sockets.py`, `feed.py`.
"""

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "engine" / "client"
NOTE = "# Made from {} by `just blocking`: change that, and not this.\n"
WORDS = (
    (r"asynchronous client, one code for asyncio and Trio", "blocking client, for scripts"),
    (r"from anyio import current_time, sleep",
     "from time import monotonic, sleep  # noqa: TID251 - a thread has no other clock"),
    (r"\bcurrent_time\b", "monotonic"),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsyncTransport\b", "BlockingTransport"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basync_new_form, new_form\b", "new_form"),
    (r"\basync_new_form\b", "new_form"),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\baclosing\b", "nullcontext"),  # a generator that blocks is closed by whoever lets it go
    (r"\ba(close|close_reader|connect_sse|iter_sse|next|read)\b", r"\1"),
    (r"\bclient\.aio\b", "client.blocking"),
)  # fmt: skip
"""What is written for what, in this order."""


def sources() -> list[Path]:
    """What is written by hand."""
    return sorted(path for path in (CLIENT / "aio").glob("*.py") if path.name != "__init__.py")


def target(source: Path) -> Path:
    """Where the blocking twin stands."""
    return CLIENT / "blocking" / source.name


def made(source: Path) -> str:
    """The blocking twin of a file."""
    text = source.read_text()
    for pattern, instead in WORDS:
        text = re.sub(pattern, instead, text)
    text = NOTE.format(source.relative_to(CLIENT.parents[1])) + text
    for command in (("check", "--select", "I,UP028", "--unsafe-fixes", "--fix-only"), ("format",)):
        ruff = (sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename")
        done = subprocess.run(
            (*ruff, str(target(source)), "-"),
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for each in sources():
        target(each).write_text(made(each))
