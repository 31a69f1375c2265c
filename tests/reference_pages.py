"""What the documentation has from the code: `just pages` writes it.

`tests/test_docs.py` and `tests/process/test_config.py` fail when a page is not what this makes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from engine import __version__
from engine.core.errors import Problem
from engine.core.model import ENDED, OPEN, StepState
from engine.core.table import TABLE, Hidden, Row
from engine.front.openapi.document import document
from engine.wire import PROBLEMS
from tests.limits_page import limits_table
from tests.settings_page import members_table, settings_table

ROOT = Path(__file__).parents[1]
ERRORS = ROOT / "docs" / "reference" / "errors.md"
DESIGN = ROOT / "docs" / "design.md"
OPENAPI = ROOT / "docs" / "reference" / "openapi.json"
LIMITS = ROOT / "docs" / "how-to" / "limits.md"
CONFIGURATION = ROOT / "docs" / "reference" / "configuration.md"

HEAD = """\
# Errors

Every error is a problem document after RFC 9457, `application/problem+json`:

```json
{
  "type": "/problems/idempotency-key-reused",
  "title": "The idempotency key was used with another payload",
  "status": 422,
  "detail": "This idempotency key was recorded with another payload. Use a new key for new work.",
  "errorSource": "request",
  "runId": "01M84WPRZ8FE8XB2H4Y04XKXPK"
}
```

`type` is an address of the engine, which serves the text below. `title` is the same for the type, \
`detail` is about this case.
`errorSource` says where the cause lies: `request` (mend the request), `workflow` (it is what \
became of the work), `engine` (post again later).
Only 200, 424 and 409 `run-cancelled` are outcomes. No answer, 429, 500, 502, 503 and 504 say \
nothing about the step: post again with the same key, and never compensate on them.

This page is made from `engine/wire/problems.py`.
"""
ORDER = ("request", "workflow", "engine")
WITHIN: dict[Row, StepState] = {
    Hidden.AWAITING_POST: StepState.PENDING,
    Hidden.PAUSE_ASKED: StepState.RUNNING,
    Hidden.CANCEL_ASKED: StepState.RUNNING,
}
"""What everybody sees of a row that is told apart in the table alone."""


def unused() -> set[Problem]:
    """Problem types that nothing in the engine answers with."""
    sources = [
        path.read_text()
        for path in (ROOT / "engine").rglob("*.py")
        if path.name not in ("problems.py", "errors.py", "secrets.py")  # words, not answers
    ]
    code = "\n".join(sources)
    return {it for it in Problem if not re.search(rf'Problem\.{it.name}\b|"{it}"', code)}


def errors_page() -> str:
    """All problem types, by status."""
    later = unused()
    rows = sorted(PROBLEMS.items(), key=lambda pair: (pair[1].status, pair[0]))
    table = [f"| {it.status} | [`{kind}`](#{kind}) | {it.title} |" for kind, it in rows]
    text = HEAD + "\n| status | type | title |\n|---|---|---|\n" + "\n".join(table) + "\n"
    for kind, it in rows:
        page = re.sub(r"(?<=[.]) (?=[A-Z`])", "\n", it.page)
        note = "**Later**: nothing answers with it yet.\n" if kind in later else ""
        text += f"\n## {kind}\n\nStatus {it.status}, `errorSource` `{it.source}`.\n{note}{page}\n"
    return text


def openapi_page() -> str:
    """The description of the interface, as the engine of this version serves it, for people."""
    return json.dumps(document(__version__), indent=1, ensure_ascii=False) + "\n"


def states() -> str:
    """The table of the step machine as a diagram; not of events that leave a step where it is."""
    name = {row: str(row).replace("-", "_") for row in TABLE} | {Hidden.UNKNOWN: "[*]"}
    arrows: dict[tuple[str, str], list[str]] = {}
    told: set[tuple[Row, type]] = set()

    def draw(source: str, row: Row, event: type) -> None:
        for to in sorted(TABLE[row][event]):
            tag = event.__struct_config__.tag  # type: ignore[attr-defined]
            arrows.setdefault((source, name[to]), []).append(tag)

    for every, states in (("open", OPEN), ("ended", ENDED)):
        rows = [row for row in TABLE if WITHIN.get(row, row) in states]
        for event in TABLE[rows[0]]:
            if len({TABLE[row].get(event) for row in rows}) == 1:
                draw(every, rows[0], event)
                told |= {(row, event) for row in rows}
    for row, events in TABLE.items():
        for event in events:
            if (row, event) not in told:
                draw(name[row], row, event)
    lines = [f'state "{WITHIN[row]}, {row}" as {name[row]}' for row in WITHIN]
    lines += ['state "backing-off" as backing_off']
    lines += [f'state "any {every} state" as {every}' for every in ("open", "ended")]
    lines += [f"{a} --> {b}: {', '.join(tags)}" for (a, b), tags in arrows.items()]
    return "stateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines)


def design_page() -> str:
    """The page with the diagram as it is now."""
    return _with_part(
        DESIGN.read_text(), r"(?<=^```mermaid\n)stateDiagram-v2\n.*?(?=^```$)", states()
    )


def configuration_page() -> str:
    """The page with the tables of settings and of a client's members as they are now."""
    text = _with_part(CONFIGURATION.read_text(), r"^\| setting \|.*?\n(?!\|)", settings_table())
    return _with_part(text, r"^\| member \|.*?\n(?!\|)", members_table())


def limits_page() -> str:
    """The page with the table of limits as it is now."""
    return _with_part(LIMITS.read_text(), r"^\| limit \|.*?\n(?!\|)", limits_table())


def _with_part(page: str, part: str, as_it_is: str) -> str:
    pattern = re.compile(part, re.MULTILINE | re.DOTALL)
    text, found = pattern.subn(lambda _: as_it_is, page)
    assert found == 1
    return text


if __name__ == "__main__":
    CONFIGURATION.write_text(configuration_page())
    DESIGN.write_text(design_page())
    ERRORS.write_text(errors_page())
    OPENAPI.write_text(openapi_page())
    LIMITS.write_text(limits_page())
