"""Texts that want to be more than text, and every page with one of them in every field."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
from msgspec import Struct

from engine.core.access.token import Role
from engine.front.access.who import Who
from engine.front.ui.bodies import Part
from engine.front.ui.chart import Shape, Span
from engine.front.ui.export import File, KeptBody
from engine.front.ui.pages import VIEWS
from engine.front.ui.run import Layout
from engine.front.ui.site import Site
from engine.front.ui.steps import Fact, StepView, Try
from engine.process.costly import CostlyWork
from engine.wire import (
    BulkAnswer,
    BulkList,
    CauseList,
    HoldRow,
    MoveRow,
    NoteRow,
    RunPage,
    RunRow,
    Status,
)
from tests.hostile_answers import hostile

MARK = "T-mark"
"""Ends each text: what follows it was swallowed if it cannot be read."""
_TEXTS = (
    "<script>hit()</script>",
    '"><script>hit()</script>',
    "'><script>hit()</script>",
    "</title><script>hit()</script>",
    "</style></noscript><script>hit()</script>",
    "</textarea></pre></code></svg><script>hit()</script>",
    "--><script>hit()</script>",
    "]]><script>hit()</script>",
    "</script><script src=/hit></script>",
    "<script src=//hit.test/hit></script>",
    "<img src=/hit onerror=hit()>",
    "<img src=/hit onerror=document.title='HIT'>",
    '" onmouseover="hit()" autofocus onfocus="hit()" x="',
    "' onclick='hit()' autofocus onfocus='hit()' x='",
    "` autofocus onfocus=`hit()` x=`",
    "<svg onload=hit()>",
    "<svg><script href=/hit></script><a xlink:href=javascript:hit()>",
    "<math><mtext><mglyph><style></math><img src=/hit onerror=hit()>",
    "<iframe src=/hit></iframe>",
    '<iframe srcdoc="<script>parent.hit()</script>"></iframe>',
    "<object data=/hit></object><embed src=/hit>",
    "<link rel=stylesheet href=/hit><link rel=prefetch href=/hit>",
    "<style>@import '/hit'; * { background: url(/hit) }</style>",
    '" style="background:url(/hit)" x="',
    "<base href=//hit.test/>",
    '<meta http-equiv=refresh content="0;url=/hit">',
    "<form action=/hit><input autofocus onfocus=hit()>",
    "<details open ontoggle=hit()>",
    "<video src=/hit onerror=hit()></video><audio src=/hit></audio>",
    "<body onload=hit() background=/hit>",
    '<a href="javascript:hit()">go</a>',
    "javascript:hit()//",
    "data:text/html,<script>hit()</script>",
    "//hit.test/hit",
    "{{ 7*7 }}{% include '/etc/passwd' %}{{ cycler.__init__ }}",
    "${hit()} #{hit()} <%= hit() %>",
    "&lt;script&gt;hit()&lt;/script&gt;&#60;script&#62;hit()",
    "+ADw-script+AD4-hit()+ADw-/script+AD4-",
    "%3Cscript%3Ehit()%3C/script%3E",
    "<!-- hit()",
    "<plaintext>hit()",
    '<template><noscript><p title="</noscript><img src=/hit onerror=hit()>">',
    "\u202e)(tih\u2066\u200b\ufeff\u2028hit()\u2029",
    "\x1b]0;HIT\x07\x9b31m\x1b[2J",
    "\r\nSet-Cookie: hit=1\r\n\r\n<script>hit()</script>",
    "<scr\x00ipt>hit()</scr\x00ipt>\x00",
    "e" + "\u0301" * 60 + "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\ud800 half a character",
    "A" * 3_000 + "<script>hit()</script>",
)
TEXTS = tuple(f"{text}{MARK}" for text in _TEXTS)
TOGETHER = tuple(" ".join(TEXTS[at : at + 5]) for at in range(0, len(TEXTS), 5))
"""The same, a few at a time: one that is more than a text shows, whatever it does to others."""
NOW = "2026-12-01T12:00:00.000Z"
TIMES = {
    "at", "submitted_at", "ended_at", "due_at", "stuck_at", "started_at", "released_at", "first_at",
    "last_at", "since", "until", "server_time", "breaker_since",
}  # fmt: skip
"""Members that are times: nobody but the engine writes them."""


def row(kind: Any, text: str) -> Any:
    """One of the API's rows with a text in each member that is one."""
    return _with_times(hostile(kind, text))


def _with_times(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_with_times, value))
    if not isinstance(value, Struct):
        return value
    for name in value.__struct_fields__:
        its = getattr(value, name)
        new = NOW if name in TIMES and isinstance(its, str) else _with_times(its)
        msgspec.structs.force_setattr(value, name, new)
    return value


def _holds(text: str) -> tuple[HoldRow, ...]:
    """One that holds, and one that was released."""
    hold: HoldRow = row(HoldRow, text)
    return hold, msgspec.structs.replace(hold, released_at=None)


def _steps(text: str) -> dict[str, Any]:
    """What the page of a run and its file say."""
    view = StepView(
        id=text, label=text, state=text, state_text=text, tried=text, took=text, took_look=text,
        why=text, by_hand=text, shapes=[Shape(text, 0, 1)], facts=[Fact(text, text, text)],
        tries=[Try(1, text, NOW, text, text, text, text)], tries_before=1, due_at=NOW,
    )  # fmt: skip
    return {
        "now": NOW, "run": row(RunRow, text), "moves": [row(MoveRow, text)],
        "notes": [row(NoteRow, text)], "holds": _holds(text), "axis": (text, text, text),
        "rows": [{"prefix": text, "under": text, "step": view},
                 {"prefix": text, "rest": text, "of": text}],
        "layout": Layout([], 300, 2, 3, Span(0, 1, 1), 1),
        "below": text, "asked": text, "file": None, "seen": text,
    }  # fmt: skip


def members(text: str) -> dict[str, dict[str, Any]]:
    """Every template, with what it is called with."""
    run, job = row(RunRow, text), row(BulkAnswer, text)
    needing, holds = row(CauseList, text), _holds(text)
    causes = needing.causes
    runs = (run, msgspec.structs.replace(run, status="running", ended_at=None))
    found = RunPage(runs, 2, total_is_estimate=False, next=text)
    listed = {
        "now": NOW, "q": text, "views": VIEWS, "first": False, "found": found, "holds": holds,
        "fault": text, "fault_at": 0,
    }  # fmt: skip
    status = row(Status, text)
    kept = File("", {text: [KeptBody(text, text, [[text]])]}, [text])
    return {
        "home": {
            "status": status, "now": NOW, "holds": holds, "found": needing, "causes": causes,
            "more_causes": 1, "runs": runs, "hosts": status.hosts, "more_hosts": 1,
        },
        "runs": listed,
        "stuck": {
            "now": NOW, "causes": causes, "found": needing, "needing": 1, "runs": 1,
            "also_dismissed": False,
        },
        "jobs": {"now": NOW, "found": BulkList((job,), text), "first": False},
        "job": {"now": NOW, "job": job},
        "run": _steps(text),
        "file": _steps(text) | {"file": kept},
        "body": {"what": text, "step": text, "run": text, "part": Part(text, [[text]])},
        "refused": {"title": text, "detail": text, "status": 404},
        "login": {"next": text, "why": text, "hours": 12},
        "enter": {"code": text},
        "logged_out": {},
    }  # fmt: skip


async def pages(text: str) -> dict[str, bytes]:
    """Every page with this text in every field, by the name of its template."""
    config = SimpleNamespace(public_url=None, tls_cert=None)
    front: Any = SimpleNamespace(config=config, version=text, costly=CostlyWork())
    site, who = Site(front), Who(text, Role.OPERATE, text)
    return {name: (await site.page(name, who, its)).body for name, its in members(text).items()}
