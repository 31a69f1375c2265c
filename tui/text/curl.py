"""A step's request as a command for a shell: what the engine would send.

Each word is quoted: nothing of a run is obeyed by the shell. What the engine alone can send is
missing: `Atomic-Parent`, the parent token of an attempt, so that steps that the application posts
while it answers are recorded as runs of their own; and its signature, for want of which an
application that asks for one answers 401.
"""

from __future__ import annotations

import shlex
from urllib.parse import quote

import msgspec

from engine.wire import StepRow
from engine.wire.routes import PAYLOAD
from tui.text.sanitize import safe

INLINE_BYTES_MAX = 4_096
"""A longer payload is not part of the command."""


def inline(payload: bytes) -> bool:
    """Whether a payload can stand in a command, to be read and pasted as it is."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return False
    return len(payload) <= INLINE_BYTES_MAX and safe(text) == text


def command(row: StepRow, engine: str, payload: bytes | None, token_file: str = "") -> str:
    """The command. Without a payload it asks the engine for it when it is run, with the token that
    the file has then: neither the command nor its arguments ever hold that.

    The key is that of the step's first generation, the only one that a row tells.
    """
    key = row.id.replace("\\", "\\\\").replace('"', '\\"')
    headers = {
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "Idempotency-Key": f'"{key}"',
        "Atomic-Run-Id": row.run_id,
        "Atomic-Step-Id": row.id,
        "Atomic-Workflow": row.workflow_name,
        "Atomic-Attempt": f"{max(1, row.attempts)}",
    }
    words = ["curl", "-i", "-g", "-X", "POST"]
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    before = f'{{"idempotencyKey":{msgspec.json.encode(row.idempotency_key).decode()},"payload":'
    if payload is not None:
        words += ["--data-raw", f"{before}{payload.decode()}}}", "--url", row.url]
        return shlex.join(words)
    words += ["--data-binary", "@-", "--url", row.url]
    at = engine.rstrip("/") + PAYLOAD.path.format(id=quote(row.id, safe=""))
    fetched = shlex.join(["curl", "-fsS", "-g", *(["-H", "@-"] if token_file else []), "--url", at])
    if token_file:
        first_line = shlex.join(["head", "-n", "1", token_file])
        fetched = f"{{ printf 'Authorization: Bearer '; {first_line}; }} | {fetched}"
    first, last = shlex.join(["printf", "%s", before]), shlex.join(["printf", "%s", "}"])
    return f"{{ {first}; {fetched}; {last}; }} | {shlex.join(words)}"
