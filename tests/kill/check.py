"""The judgement: what callers and application saw, against what the engine has recorded."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from engine.core.model import run_of
from engine.ports.store import Body
from engine.store.journal import unpack
from engine.store.sqlite.verify.verify import verify
from engine.store.tables.reading import stored_body
from tests.kill.application import RELEASE, STEPS, WORKFLOW, digest
from tests.kill.callers import CLIENT, Load, is_gone

CLOCK_SLACK_MS = 100
"""The engine's clock is the wall clock of its start plus the steady one since."""
SHOWN_MAX = 20
EVERY_STEP = """
SELECT step.id, step.depth, step.url, step.name, step.state, step.attempts,
    step.ended_at, step.answer_attempt, coalesce(step.key, run.key) AS key
FROM step JOIN run ON run.id = step.run_id"""


@dataclass
class Findings:
    """Figures and violations."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def violation(self, text: str) -> None:
        """Something that must not be."""
        self.violations.append(text)

    def expect(self, holds: bool, text: str) -> None:
        """Something that must hold."""
        if not holds:
            self.violation(text)


async def check_answers(findings: Findings, load: Load, http: httpx.AsyncClient) -> None:
    """Every promise is kept: one outcome for each, byte for byte the same whoever reads it when. Of
    a run that has gone it is told so, for ever, and its key runs nothing."""
    for submission in load.submissions.values():
        if not submission.acknowledged:
            continue
        key = submission.key
        findings.counts["acknowledged"] += 1
        ids = {told.id for told in submission.told}
        findings.expect(len(ids) == 1, f"{key}: acknowledged as {sorted(ids)}")
        outcome = f"{load.url}/api/v1/steps/{submission.told[0].id}/outcome"
        answers = [await http.get(outcome), await http.get(outcome)]
        if load.pruned and is_gone(answers[-1]):
            submission.gone = answers[-1].json()["runId"]
        if submission.gone:
            findings.counts["told that they have gone"] += 1
            findings.expect(ids == {submission.gone}, f"{key}: {submission.gone} has gone")
            findings.expect(not submission.payload["fails"], f"{key}: it failed, and has gone")
            last = await load.post(http, submission)
            findings.expect(last is None, f"{key}: it has gone, and is there again: {last}")
            continue
        bodies = {answer.content for answer in answers}
        bodies |= {told.body for told in submission.told if told.status != 202}
        findings.expect(len(bodies) == 1, f"{key}: outcomes differ: {bodies}")
        wanted = 424 if submission.payload["fails"] else 200
        for answer in answers:
            findings.expect(
                answer.status_code == wanted, f"{key}: {answer.status_code}, not {wanted}"
            )
        findings.counts["outcomes"] += len(bodies)
        if wanted == 424:
            findings.counts["outcomes that failed, as they should"] += 1


def check_records(findings: Findings, load: Load, database: Path, ledger: Path, log: Path) -> None:
    """Read the files that are left: the engine's record, the application's ledger, the log."""
    for line in log.read_text(errors="replace").splitlines():
        if any(word in line for word in ("run-stopped", "Traceback", '"engine-stopped"')):
            findings.violation(f"the log says: {line[:500]}")
    for fault in verify(database).faults:
        findings.violation(f"verify: {fault.place}: {fault.what}")
    with closing(sqlite3.connect(database)) as engine, closing(sqlite3.connect(ledger)) as calls:
        engine.row_factory = calls.row_factory = sqlite3.Row
        _check_file(findings, engine)
        _check_runs(findings, load, engine)
        gone = _check_gone(findings, load, engine)
        steps = {row["id"]: row for row in engine.execute(EVERY_STEP)}
        _check_calls(findings, load, calls, steps, gone)
        _check_seen(findings, load, calls, steps, gone)
        _check_effects(findings, calls, steps, gone)
        _check_compensations(findings, load, calls)
        _check_answers_of_runs(findings, engine, calls, steps)


def _check_file(findings: Findings, engine: sqlite3.Connection) -> None:
    said = engine.execute("PRAGMA integrity_check").fetchone()[0]
    findings.expect(said == "ok", f"integrity_check: {said}")
    last = floor = engine.execute("SELECT floor FROM engine").fetchone()[0]
    findings.counts["events cut"] = floor
    carried = engine.execute("SELECT count(DISTINCT run_id) FROM carried").fetchone()[0]
    findings.counts["runs carried on"] = carried
    for entry in engine.execute("SELECT seq, events, packed FROM journal ORDER BY seq"):
        events, _ = unpack(entry["packed"])
        findings.expect(
            (entry["seq"], entry["events"]) == (last + 1, len(events)),
            f"{len(events)} events from {entry['seq']}, behind event {last}",
        )
        last += entry["events"]
    findings.counts["events"] = last - floor
    caught_up = engine.execute("SELECT caught_up FROM engine").fetchone()[0]
    findings.expect(caught_up == last, f"the tables know {caught_up} of {last} events")
    run_counts = dict(engine.execute("SELECT state, runs FROM tally WHERE runs != 0").fetchall())
    counted = dict(engine.execute("SELECT state, count(*) FROM run GROUP BY state").fetchall())
    findings.expect(
        run_counts == counted, f"runs by state: recorded {run_counts}, counted {counted}"
    )
    timed = engine.execute("SELECT count(*) FROM step WHERE wake_at IS NOT NULL").fetchone()[0]
    findings.expect(timed == 0, f"{timed} steps wait to be called though all runs have ended")


def _check_runs(findings: Findings, load: Load, engine: sqlite3.Connection) -> None:
    """Every run was asked for, is of the state it should be in, and ended once in each step."""
    for row in engine.execute("SELECT id, client, key, state FROM run"):
        findings.counts["runs"] += 1
        submission = load.submissions.get(row["key"])
        if submission is None or row["client"] != CLIENT:
            findings.violation(f"nobody asked for run {row['id']} with key {row['key']}")
            continue
        wanted = "failed" if submission.payload["fails"] else "completed"
        findings.expect(row["state"] == wanted, f"{row['key']}: {row['state']}, not {wanted}")
    wrong = engine.execute(
        "SELECT step.id, step.state, count(outcome.step_id) AS outcomes FROM step"
        " LEFT JOIN outcome ON outcome.step_id = step.id AND outcome.state = step.state"
        " AND outcome.ended_at = step.ended_at AND outcome.generation = 1"
        " GROUP BY step.id HAVING outcomes != 1"
    ).fetchall()
    for row in wrong:
        findings.violation(f"step {row['id']} ({row['state']}): {row['outcomes']} outcomes")
    extra = engine.execute(
        "SELECT step_id FROM outcome WHERE generation != 1"
        " OR step_id NOT IN (SELECT id FROM step) LIMIT ?",
        (SHOWN_MAX,),
    ).fetchall()
    for row in extra:
        findings.violation(f"outcome of {row['step_id']} that no step has")


def _check_gone(findings: Findings, load: Load, engine: sqlite3.Connection) -> dict[str, str]:
    """The keys of runs that have gone, by run: each was asked for, completed, and is there no more;
    and who was told of one was told the truth."""
    gone = {}
    for row in engine.execute("SELECT run_id, client, key, state FROM expired"):
        key, submission = row["key"], load.submissions.get(row["key"])
        gone[row["run_id"]] = key
        if submission is None or row["client"] != CLIENT:
            findings.violation(f"nobody asked for run {row['run_id']} with key {key}, which went")
        elif submission.payload["fails"] or row["state"] != "completed":
            findings.violation(f"{key}: it failed, and has gone")
        there = engine.execute("SELECT id FROM run WHERE key = ?", (key,)).fetchall()
        findings.expect(not there, f"{key}: it has gone, and there is {there}")
    for submission in load.submissions.values():
        told = submission.gone
        findings.expect(not told or gone.get(told) == submission.key, f"{told}: it is not gone")
    findings.counts["runs gone"] = len(gone)
    return gone


def _check_calls(
    findings: Findings,
    load: Load,
    calls: sqlite3.Connection,
    steps: dict[str, sqlite3.Row],
    gone: Mapping[str, str],
) -> None:
    """No call without a step, none after its outcome, no attempt or parent token twice."""
    parent_tokens: Counter[str] = Counter()
    attempts: Counter[tuple[str, int]] = Counter()
    by_step: Counter[str] = Counter()
    for call in calls.execute("SELECT * FROM call ORDER BY id"):
        findings.counts["calls"] += 1
        parent_tokens[call["parent_token"]] += 1
        attempts[call["step_id"], call["attempt"]] += 1
        by_step[call["step_id"]] += 1
        what = f"call {call['id']} of {call['key']} {call['name']} (attempt {call['attempt']})"
        if gone.get(call["run_id"]) == call["key"]:
            continue
        step, submission = steps.get(call["step_id"]), load.submissions.get(call["key"])
        if step is None or submission is None:
            findings.violation(f"{what}: its step {call['step_id']} is not recorded")
            continue
        findings.expect(
            call["payload"] == digest(submission.payload), f"{what}: another payload than posted"
        )
        findings.expect(
            step["url"].endswith(f"/{call['name']}") and step["key"] == call["key"],
            f"{what}: called for step {step['id']} with {step['url']}",
        )
        findings.expect(
            call["attempt"] <= step["attempts"],
            f"{what}: the record has {step['attempts']} attempts",
        )
        if step["state"] == "completed":
            late_ms = call["at_ms"] - step["ended_at"]
            findings.expect(
                late_ms <= CLOCK_SLACK_MS, f"{what}: {late_ms} ms after the step had completed"
            )
    for parent_token, count in parent_tokens.items():
        findings.expect(count == 1, f"parent token {parent_token} was issued {count} times")
    for (step_id, attempt), count in attempts.items():
        # A child's first attempt may leave while its commit is under way, and be forgotten.
        once = attempt > 1 or steps[step_id]["depth"] == 0 if step_id in steps else False
        findings.expect(count == 1 or not once, f"{step_id}: attempt {attempt} came {count} times")
    findings.counts["repeated calls"] = by_step.total() - len(by_step)
    findings.counts["repeated calls after an answer 200 was lost"] = calls.execute(
        "SELECT coalesce(sum(n - 1), 0) FROM"
        " (SELECT count(*) AS n FROM call WHERE status = 200 GROUP BY own_key)"
    ).fetchone()[0]


def _check_seen(
    findings: Findings,
    load: Load,
    calls: sqlite3.Connection,
    steps: dict[str, sqlite3.Row],
    gone: Mapping[str, str],
) -> None:
    """What anybody was told of a step never changed, and nobody called the step afterwards."""
    seen = [tuple(row) for row in calls.execute("SELECT step_id, at_ms, body FROM seen")]
    for submission in load.submissions.values():
        seen += [(t.id, t.at_ms, t.body) for t in submission.told if t.status != 202]
    bodies: dict[str, set[bytes]] = {}
    first: dict[str, int] = {}
    for step_id, at_ms, body in seen:
        bodies.setdefault(step_id, set()).add(body)
        first[step_id] = min(at_ms, first.get(step_id, at_ms))
        known = step_id in steps or run_of(step_id) in gone
        findings.expect(known, f"an outcome of {step_id}, which is not recorded")
    findings.counts["outcomes told"] = len(seen)
    for step_id, told in bodies.items():
        findings.expect(len(told) == 1, f"{step_id}: outcomes differ: {told}")
    for call in calls.execute("SELECT id, step_id, at_ms FROM call"):
        findings.expect(
            call["at_ms"] <= first.get(call["step_id"], call["at_ms"]),
            f"call {call['id']} of {call['step_id']}: after its outcome had been told",
        )


def _check_effects(
    findings: Findings,
    calls: sqlite3.Connection,
    steps: dict[str, sqlite3.Row],
    gone: Mapping[str, str],
) -> None:
    """One effect for each step that completed, and none else: the keys were always the same. A run
    that has gone had done all."""
    effects: Counter[tuple[str, str]] = Counter()
    for effect in calls.execute("SELECT * FROM effect"):
        effects[effect["key"], effect["name"]] += 1
    findings.counts["effects"] = effects.total()
    for (key, name), count in effects.items():
        findings.expect(count == 1, f"{key} {name}: {count} effects")
    completed = {
        (row["key"], row["name"])
        for row in steps.values()
        if row["state"] == "completed" and row["name"] != WORKFLOW
    }
    completed |= {(key, name) for key in gone.values() for name in STEPS}
    for key, name in sorted(completed ^ set(effects))[:SHOWN_MAX]:
        findings.violation(f"{key} {name}: effect without completed step, or the other way")


def _check_compensations(findings: Findings, load: Load, calls: sqlite3.Connection) -> None:
    """What failed was undone, once; what did not, was not."""
    rows = calls.execute("SELECT key, count(*) FROM effect WHERE name = ? GROUP BY key", (RELEASE,))
    undone = dict(rows.fetchall())
    for submission in load.submissions.values():
        if submission.acknowledged:
            wanted, did = int(submission.payload["fails"]), undone.get(submission.key, 0)
            findings.expect(did == wanted, f"{submission.key}: undone {did} times, not {wanted}")
    findings.counts["compensations"] = sum(undone.values())


def _check_answers_of_runs(
    findings: Findings,
    engine: sqlite3.Connection,
    calls: sqlite3.Connection,
    steps: dict[str, sqlite3.Row],
) -> None:
    """Nothing is invented: the recorded answer of a workflow names the effects that happened."""
    happened = {
        (row["key"], row["name"]): row["id"] for row in calls.execute("SELECT * FROM effect")
    }
    for row in engine.execute("SELECT step_id, number FROM attempt WHERE answer_in NOTNULL"):
        step = steps.get(row["step_id"])
        if step is None:
            findings.violation(f"an answer of {row['step_id']}, which is not recorded")
            continue
        if step["state"] != "completed" or step["answer_attempt"] != row["number"]:
            continue
        body = stored_body(engine, row["step_id"], row["number"], answer=True)
        if not isinstance(body, Body):
            findings.violation(f"the answer of {row['step_id']} is lost")
            continue
        said, key = json.loads(body.data), step["key"]
        wanted = (
            {"effects": {name: happened.get((key, name)) for name in STEPS}}
            if step["depth"] == 0
            else {"effect": happened.get((key, step["name"]))}
        )
        findings.expect(said == wanted, f"{key} {step['name']}: recorded {said}, did {wanted}")
        findings.counts["recorded answers"] += 1
