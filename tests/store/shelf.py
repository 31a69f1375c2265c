"""A file full of runs in all states, and what a filter should find among them, in plain Python."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from engine.core.cause import stuck
from engine.core.events import PayloadDiffered
from engine.core.filter import Compare, Field, Is, Term, parse
from engine.core.machine import Change
from engine.core.model import ENDED, DelayBy, PauseReason, Run, Step, StepSpec, StepState, rebuild
from engine.ports.jobs import CameTo, JobRun
from engine.ports.store import Write
from engine.store.jobs import JobWrite
from engine.store.rows import wake_at
from engine.store.tables.connection import Tables
from engine.store.tables.views.filter import Condition, find
from tests.store.support import store_at

NOW = 10_000_000
WORKFLOWS = ("order", "orderLine", "Order", "a[b]c", "a?c", "50%_up", "back\\slash")
KEYS = ("test-{}", "Test-{}", "k[{}]", "k?{}", "{}%")
CLIENTS = ("shop", "acme.eu")
NAMES = ("index", "sendMail", "send[1]")
HOSTS = ("app:9000", "app", "api.example.com", "[::1]:80")
PATHS = ("/", "/a/b?to=https://evil.example.com/", "/app/")
ERRORS = {404: "http-status: answered 404", 503: "http-status: answered 503", None: "dns: unknown"}
EXCERPTS = (
    "card_declined: insufficient funds",
    "100% of_it",
    "Stra\u00dfe gesperrt: \u00dcBER",
    None,
)


ACTED = {"J1": ("010003", "010007", "010100"), "J2": ("010007",)}
REFUSED = {"J1": ("010004",)}
"""Runs, by the bulk job that acted on them, or left them alone when their turn came."""
NOT_COME_TO = {"J1": ("010005",)}


def a_step(run_id: str, ordinal: int = 0, **members: object) -> Step:
    """A step of a run: its root, or (`ordinal`) a child of it."""
    url = str(members.pop("url", "http://app:9000/w"))
    spec = StepSpec("w", "k", url, f"s{ordinal}", str(members.pop("name", "w")), b"f" * 32)
    return Step(
        id=f"{run_id}-{ordinal}" if ordinal else run_id,
        run_id=run_id,
        parent_id=run_id if ordinal else None,
        ordinal=ordinal,
        depth=min(1, ordinal),
        spec=spec,
        submitted_at=0,
        recorded_by=0,
        **members,  # type: ignore[arg-type]
    )


def a_run(id: str, *steps: Step, workflow: str = "w", key: str = "", **members: object) -> Run:
    """A run of these steps; its key is its id unless given."""
    first = steps[0]
    spec = first.spec
    first.spec = StepSpec(
        workflow, key or id, spec.url, spec.step_key, spec.name, spec.fingerprint, spec.retry
    )
    plain = {"client": "shop", "submitted_at": 0, "shown": first.state, **members}
    run = Run(id=id, steps={step.id: step for step in steps}, **plain)  # type: ignore[arg-type]
    return rebuild(run)


def _random_step(run_id: str, ordinal: int, random: Random) -> Step:
    state = random.choice([*StepState, StepState.FAILED, StepState.PAUSED, StepState.BACKING_OFF])
    status = random.choice([200, 404, 503, None])
    resting = StepState.BACKING_OFF
    return a_step(
        run_id,
        ordinal,
        url=f"{random.choice(['http', 'https'])}://{random.choice(HOSTS)}{random.choice(PATHS)}",
        name=random.choice(NAMES),
        state=state,
        attempts=random.randrange(6),
        http_status=status,
        error=ERRORS.get(status),
        excerpt=EXCERPTS[(ordinal + int(run_id[2:])) % 4] if status in ERRORS else None,
        due_at=NOW + random.randrange(-5_000, 90_000, 1_000) if state is resting else None,
        delay_by=DelayBy.POLICY if state is resting else None,
        pause_reason=random.choice([*PauseReason]) if state is StepState.PAUSED else None,
        paused_at=NOW - random.randrange(100) if state is StepState.PAUSED else None,
        resumes_to=resting if state is StepState.PAUSED else None,
        ended_at=NOW - random.randrange(100) if state in ENDED else None,
    )


def random_runs(count: int, seed: int = 1) -> list[Run]:
    """Runs of every kind, by id."""
    random = Random(seed)
    made: list[Run] = []
    for number in range(count):
        id = f"01{number:04}"
        steps = [_random_step(id, ordinal, random) for ordinal in range(random.randrange(1, 4))]
        if steps[0].state is StepState.FAILED and len(steps) > 1:
            steps[0].cause_id = steps[1].id
        run = a_run(
            id,
            *steps,
            workflow=random.choice(WORKFLOWS),
            key=random.choice(KEYS).format(number),
            client=random.choice(CLIENTS),
            submitted_at=NOW - random.randrange(0, 7_200_000, 60_000),
            dismissed=random.random() < 0.2,
        )
        made.append(run)
    return made


async def fill(path: Path, runs: list[Run]) -> None:
    """A file with these runs."""
    async with store_at(path, synchronous="OFF") as store:
        for run in runs:
            change = Change(run, touched=dict(run.steps))
            change.events.append(PayloadDiffered(1, run.id, b"f"))
            store.write(Write(change))
        for jobs, refused in ((ACTED, None), (REFUSED, "not-possible")):
            for job, ids in jobs.items():
                for run_id in ids:
                    store.writer.job(JobWrite(job, runs=[JobRun(run_id, None)]))
                    came_to = CameTo(run_id, NOW, 1, refused)
                    store.writer.job(JobWrite(job, came_to=came_to))
        for job, ids in NOT_COME_TO.items():
            store.writer.job(JobWrite(job, runs=[JobRun(run_id, None) for run_id in ids]))
        await store.writer.wait_rows()


# -- what should be found ------------------------------------------------------------------------


def fits(pattern: str, text: str, *, within: bool = False) -> bool:
    """Whether the pattern is (or is within) the text; `*` is any text."""
    wanted = ".*".join(re.escape(part) for part in pattern.split("*"))
    find = re.search if within else re.fullmatch
    return find(wanted, text, re.DOTALL) is not None


def holds(term: Term, run: Run, now: int = NOW) -> bool:
    """Whether the term holds of the run."""
    return _plainly(term, run, now) is not term.negated


def _plainly(term: Term, run: Run, now: int) -> bool:
    steps, spec = run.steps.values(), run.root.spec
    match term.field:
        case Field.IS:
            return _is(term.text, run, now)
        case Field.WORKFLOW:
            return fits(term.text, spec.workflow)
        case Field.CLIENT:
            return fits(term.text, run.client)
        case Field.KEY:
            return fits(term.text, spec.key)
        case Field.STEP:
            return any(fits(term.text, step.spec.name) for step in steps)
        case Field.HOST:
            return any(fits(term.text, step.spec.url.split("/")[2]) for step in steps)
        case Field.TRY:
            return _compared(term, max(step.attempts for step in steps))
        case Field.DUE:
            due = [at for step in steps if (at := wake_at(step))]
            return bool(due) and _compared(term, min(due) - now)
        case Field.AGE:
            return _compared(term, now - run.submitted_at)
        case Field.CODE:
            digits = 1 if term.text.endswith("xx") else 3
            return any(str(step.http_status)[:digits] == term.text[:digits] for step in steps)
        case Field.ERROR:
            said = [run.engine_error, *(s.error for s in steps), *(s.excerpt for s in steps)]
            return any(fits(term.text, text.lower(), within=True) for text in said if text)
        case Field.CAUSE:
            need = stuck(run)
            return need is not None and fits(f"{term.text}*", need.cause)
        case Field.JOB:
            job, _, refused = term.text.partition("/")
            return run.id in (REFUSED if refused else ACTED).get(job, ())
        case Field.TEXT:
            told = (spec.workflow, spec.key, run.client, run.id)
            return any(fits(term.text, text.lower(), within=True) for text in told)


def _is(word: str, run: Run, now: int) -> bool:
    match word:
        case Is.LIVE:
            return run.shown not in ENDED
        case Is.ENDED:
            return run.shown in ENDED
        case Is.LATE:
            return any((at := wake_at(step)) and at < now - 1_000 for step in run.steps.values())
        case Is.STUCK:
            return stuck(run) is not None
        case Is.DISMISSED:
            return run.dismissed
    return word == run.shown


def _compared(term: Term, value: int) -> bool:
    match term.compare:
        case Compare.LESS:
            return value < term.number
        case Compare.MORE:
            return value > term.number
        case Compare.EQUAL:
            return value == term.number


# -- and what is found ---------------------------------------------------------------------------


class Shelf(NamedTuple):
    """A connection to the tables, and the runs that are in them by id."""

    db: Any
    runs: list[Run]


def wanted(runs: list[Run], text: str, *, newest_first: bool = True) -> list[str]:
    """What should be found, in order."""
    terms = parse(text)
    ids = [run.id for run in runs if all(holds(term, run) for term in terms)]
    return sorted(ids, reverse=newest_first)


def found(
    db: Tables,
    text: str,
    *also: Condition,
    newest_first: bool = True,
    limit: int = 500,
) -> list[str]:
    """What is found, page after page."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = find(
            db,
            parse(text),
            list(also),
            now=NOW,
            cursor=cursor,
            newest_first=newest_first,
            limit=limit,
        )
        assert len(page.rows) <= limit
        ids += [row["id"] for row in page.rows]
        if page.next is None:
            return ids
        assert cursor is None or (page.next < cursor if newest_first else page.next > cursor)
        cursor = page.next


TEXTS = [
    *(f"is:{word}" for word in (*StepState, "live", "ended", "late", "stuck", "dismissed")),
    *("wf:order", "wf:order*", "wf:*r*", "wf:a[b]c", "wf:a[b]*", "wf:a?c", "wf:a?*", "wf:nothing"),
    *("client:shop", "client:*.eu", "key:test-*", "key:k[7*", "key:k?*", "key:test-6", "key:*1*"),
    *("step:sendMail", "step:send*", "step:send[1]", "step:send?1?", "step:SENDMAIL"),
    *(f"host:{host}" for host in HOSTS),
    *("host:evil.example.com", "host:app*", "host:APP:*", "host:*.com", "host:*/*", "host:[*"),
    *("try:0", "try:3", "try:>3", "try:<3", "try:>0", "try:<1"),
    *("due:<1m", "due:>1m", "due:<10s", "due:>10s", "due:<0s", "due:>0ms"),
    *("job:J1", "job:J2", "job:J1/refused", "job:J2/refused", "job:J3"),
    *("age:>1h", "age:<1h", "age:<0s", "age:>0s"),
    *("code:200", "code:404", "code:2xx", "code:5xx", "code:1xx", "code:302"),
    *("error:declined", "error:DECLINED*funds", "error:answered", "error:dns", "error:0%"),
    *(
        "error:of_it",
        "error:ofxit",
        "error:STRA\u00dfE",
        "error:\u00fcber",
        "error:\u00e4",
        "error:*",
        "!error:answered",
        "!error:declined error:answered",
        "!error:\u00fcber",
        'error:"card_declined: insufficient"',
        r"error:0\%",
        "error:_",
    ),
    *(
        "ord",
        "ORD",
        "%",
        "_",
        "50%_",
        "k[",
        "?",
        "*",
        "a*c",
        "\\",
        "shop",
        "010003",
        "t-*1",
        '"- "',
    ),
]
