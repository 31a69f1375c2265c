"""The shows of `atomic demo`: `once` and `steadily`, and the comparison at the end of both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import httpx
import trio

from engine.cli.demo import opening
from engine.cli.demo.log import (
    EventLog,
    effects_table,
    log_line,
    response_text,
    submission_lines,
    totals_line,
    tree_lines,
    verdict,
)
from engine.cli.demo.processes import LOOK_EVERY_S, Parts, look_after
from engine.cli.demo.stage import DemoOptions, DemoStop
from engine.cli.options import actor_of_process
from engine.cli.show.lists import table
from engine.cli.show.text import count_text, safe, span_text
from engine.client import AsyncClient, Outcome, Reposts, RunCancelled, StepFailed
from engine.process.clock import SystemClock
from engine.process.exits import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from demo_app.scenario import Submission

CLIENT = "demo"
TOTALS_EVERY_S = 5.0
OPEN_RUNS_GRACE_S = 10.0
"""After the last submission: how long open runs may take to end. They survive it if they do not."""
EFFECTS_S_MAX = 20.0
"""How long the application may be away, crashed or starting, when its effects are asked for."""
WIDTH = 80
REPOSTS = Reposts(count=60, max_back_off_s=0.5)
"""An engine that is killed every 2 s must be met while it is there; it is ours alone."""
ONCE = """
Each workflow runs once. A line of its tree is an HTTP call that the engine
makes and records; `index` is the workflow's own function. What fails is tried
again: the failures are planned, and listed first."""


class DemoStage(NamedTuple):
    """What a show has to work with."""

    options: DemoOptions
    parts: Parts
    client: AsyncClient
    application: httpx.AsyncClient
    stop: DemoStop
    say: Callable[[str, str], None]
    """Tells what has happened to a part."""


async def show(options: DemoOptions, parts: Parts, stop: DemoStop) -> int:
    """Show what was asked for, on parts that listen; returns the exit code. Raises DemoError when
    one of them dies."""
    clock = SystemClock()

    def say(name: str, text: str) -> None:
        if options.dashboard:
            return  # it has the screen
        if options.once:
            click.echo(f"   * the {name} {text}")
        else:
            now = datetime.fromtimestamp(clock.utc_ms() / 1000, UTC).isoformat()
            click.echo(log_line(now, "", f"({name})", text))

    async with trio.open_nursery() as nursery:
        for part in parts:
            nursery.start_soon(look_after, part, partial(say, part.name))
        async with (
            # as the dashboard that it starts: who looks is one person
            AsyncClient(parts.engine.address, reposts=REPOSTS, actor=actor_of_process()) as client,
            httpx.AsyncClient(base_url=parts.application.address, trust_env=False) as http,
        ):
            await parts.wait_ready(http)
            stage = DemoStage(options, parts, client, http, stop, say)
            code = await (once if options.once else steadily)(stage)
        nursery.cancel_scope.cancel()
    return code


# -- once -----------------------------------------------------------------------------------------


async def once(stage: DemoStage) -> int:
    """Each workflow once: what was planned, what came of it, effects promised and counted."""
    from demo_app import scenario

    submissions = scenario.once(crashes=True)
    click.echo("\n".join(_addresses(stage)))
    click.echo(ONCE)
    completed: list[Submission] = []
    unexpected: list[str] = []
    for number, submission in enumerate(submissions, 1):
        click.echo("\n" + "\n".join(submission_lines(number, submission)))
        outcome = await _run_once(stage, submission, unexpected)
        if outcome is not None:
            completed.append(submission)
            unexpected += _not_as_expected(submission, outcome)
        page = await stage.client.operate.run_page(workflow=submission.workflow, key=submission.key)
        for run in page.runs:
            click.echo("\n".join(tree_lines(await stage.client.operate.run(run.id))))
    return await _compare(stage, completed, unexpected, by_run=True)


async def _run_once(
    stage: DemoStage, submission: Submission, unexpected: list[str]
) -> Outcome | None:
    """Submit it and wait for its outcome; None when it has none but a failure."""
    began = trio.current_time()
    try:
        outcome: Outcome = await stage.client.submit(**_submission(stage, submission))
    except (StepFailed, RunCancelled) as error:
        unexpected.append(f"{submission.workflow}, key {submission.key}: {safe(error)}")
        click.echo(f"   answer: {safe(error)}\n")
        return None
    took = span_text(trio.current_time() - began)
    head = f"   answer after {took}: "
    click.echo(head + response_text(outcome.response, WIDTH - len(head)) + "\n")
    return outcome


def _submission(stage: DemoStage, submission: Submission) -> dict[str, Any]:
    options = submission.payload["options"]
    return {
        "workflow": submission.workflow,
        "client": CLIENT,
        "url": f"{stage.parts.application.address}{submission.path}",
        "key": submission.key,
        "payload": submission.payload,
        "retry": options["retry"],
        "attempt_timeout": options["attemptTimeout"],
    }


def _not_as_expected(submission: Submission, outcome: Outcome) -> list[str]:
    if submission.met_by(outcome.response):
        return []
    answer = response_text(outcome.response, WIDTH)
    return [f"{submission.workflow}, key {submission.key}: not {submission.expect} but {answer}"]


# -- the comparison -------------------------------------------------------------------------------


async def _effects(stage: DemoStage, **query: str) -> dict[str, Any]:
    """What the application counts; waits while it is away. Raises DemoError when that is long."""
    with trio.move_on_after(EFFECTS_S_MAX):
        while True:
            try:
                answer = await stage.application.get("/effects", params=query, timeout=60)
            except httpx.TransportError:
                await trio.sleep(0.1)
                continue
            if answer.is_success:
                listing: dict[str, Any] = answer.json()
                return listing
            raise stage.parts.application.error(f"answered {answer.status_code} for its effects")
    raise stage.parts.application.error(f"has not answered for {EFFECTS_S_MAX:g} s")


async def _compare(
    stage: DemoStage, completed: list[Submission], unexpected: list[str], *, by_run: bool
) -> int:
    """Print promised against counted effects, and the verdict; returns the exit code."""
    from demo_app import promised, smtp

    mails = await trio.to_thread.run_sync(smtp.count_by_message_id, stage.parts.maildir)
    rows = promised.compare(completed, await _effects(stage), mails)
    click.echo("\nEffects that the completed runs promised, and effects counted:\n")
    click.echo("\n".join(effects_table(rows, by_run=by_run)))
    click.echo(
        f"\nCounted in the application's database and at the mail server"
        f" ({count_text(sum(mails.values()), 'mail')})."
    )
    for part, how in ((stage.parts.application, "crashed"), (stage.parts.engine, "was killed")):
        if part.restarts:
            click.echo(f"Meanwhile the {part.name} {how} {count_text(part.restarts, 'time')}.")
    if stage.options.data is not None:
        click.echo(f"Kept in {safe(stage.parts.directory)}: atomic.db, app.db, mail/ and logs.")
    well, lines = verdict(rows, unexpected)
    click.echo("\n".join(lines))
    return EXIT_OK if well else EXIT_FAILED


# -- the steady mix -------------------------------------------------------------------------------


class Mix:
    """The steady mix: what has been submitted, seen and checked so far."""

    def __init__(self, stage: DemoStage) -> None:
        from demo_app.scenario import Scenario

        self.stage = stage
        self._echo = (lambda line: None) if stage.options.dashboard else click.echo
        self.scenario = Scenario(stage.options.seed, crashes=True)
        self.submissions: dict[str, Submission] = {}
        self.log = EventLog(self.submissions)
        self.effects = self.lost = self.doubled = 0

    async def follow(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Print the events, from the first on: `started` as soon as none can be missed."""
        async with self.stage.client.operate.events() as events:
            async for event in events:
                if event.kind == "heartbeat":
                    task_status.started()
                    break
            async for event in events:
                line = self.log.line(event)
                if line:
                    self._echo(line)

    async def submit(self) -> None:
        """Submit at the rate, until cancelled."""
        from demo_app import scenario

        first = scenario.opening(self.stage.options.seed)
        self.submissions |= {submission.key: submission for submission in first}
        async with trio.open_nursery() as nursery:
            parts, application = self.stage.parts, self.stage.application
            nursery.start_soon(
                opening.play, first, self._submit_one, parts.engine.address, application
            )
            began = trio.current_time()
            for n, submission in enumerate(self.scenario):
                await trio.sleep_until(began + n / self.stage.options.rate)
                self.submissions[submission.key] = submission
                nursery.start_soon(self._submit_one, submission)

    async def _submit_one(self, submission: Submission) -> str:
        asked = _submission(self.stage, submission)
        answer = await self.stage.client.submit(**asked, prefer="respond-async")
        return answer.id

    async def kill_engine(self, every_s: float) -> None:
        """kill -9 the engine so long after each start of it; who looks after it starts it again."""
        engine = self.stage.parts.engine
        while True:
            await trio.sleep(every_s)
            engine.kill()
            while engine.killed or not engine.listens:  # noqa: ASYNC110 - another process
                await trio.sleep(LOOK_EVERY_S)

    async def total(self) -> None:
        """Print how it stands every few seconds."""
        while True:
            await trio.sleep(TOTALS_EVERY_S)
            await self._check_completed()
            mails = sum(1 for _ in (self.stage.parts.maildir / "new").glob("*"))
            self._echo(totals_line(self.log.counts, self.effects, self.lost, self.doubled, mails))

    async def _check_completed(self) -> None:
        from demo_app import promised

        while self.log.completed:
            run = self.log.completed.pop()
            submission = self.submissions.get(run.key)
            if submission is None:
                continue  # somebody else's, submitted by hand
            rows = promised.compare([submission], await _effects(self.stage, key=run.key))
            self.effects += sum(row.counted for row in rows)
            self.lost += sum(row.lost for row in rows)
            self.doubled += sum(row.doubled for row in rows)

    async def wait_open(self) -> None:
        """Until no run is open."""
        while self.log.open_runs:  # noqa: ASYNC110 - a look now and then is simpler than events
            await trio.sleep(0.1)

    async def completed(self, unexpected: list[str]) -> list[Submission]:
        """The submissions whose runs have completed, by the engine's record; others are told of."""
        found = []
        still_open = 0
        async for run in self.stage.client.operate.runs(client=CLIENT, sort="submittedAt"):
            submission = self.submissions.get(run.idempotency_key)
            if submission is None:
                continue
            if run.status == "completed":
                found.append(submission)
                outcome = await self.stage.client.outcome(run.id)
                unexpected += _not_as_expected(submission, outcome)
            elif run.status == "failed" and not submission.needs_a_person:
                what = safe(run.error or "no reason recorded")
                unexpected.append(f"{submission.workflow}, key {submission.key}: failed, {what}")
            elif run.status != "failed":
                still_open += 1
        if still_open:
            click.echo(f"{count_text(still_open, 'run')} not ended; not in the table.")
        return found


async def steadily(stage: DemoStage) -> int:
    """The steady mix, shown as it happens, until Ctrl-C or the end of the duration.

    With the dashboard until that is left.
    """
    mix, options = Mix(stage), stage.options
    if not options.dashboard:
        click.echo("\n".join(_introduction(stage)))
    stage.stop.heard = True
    async with trio.open_nursery() as watching:
        await watching.start(mix.follow)
        watching.start_soon(mix.total)
        async with trio.open_nursery() as working:
            working.start_soon(mix.submit)
            if options.kill_engine is not None:
                working.start_soon(mix.kill_engine, options.kill_engine)
            with trio.move_on_after(options.duration or float("inf")):
                await stage.stop.asked.wait()
            working.cancel_scope.cancel()
        if options.dashboard:
            stage.stop.dashboard.cancel()
            await stage.stop.dashboard_left.wait()
        await opening.end(stage.application)
        if stage.stop.patient and mix.log.open_runs:
            stage.stop.asked.set()
            click.echo(
                f"\nWaiting for {count_text(mix.log.open_runs, 'open run')}"
                f" ({OPEN_RUNS_GRACE_S:g} s at most; Ctrl-C stops at once)."
            )
            with trio.move_on_after(OPEN_RUNS_GRACE_S):
                await mix.wait_open()
        watching.cancel_scope.cancel()
    unexpected: list[str] = []
    return await _compare(stage, await mix.completed(unexpected), unexpected, by_run=False)


def _introduction(stage: DemoStage) -> list[str]:
    engine, application = stage.parts.engine.address, stage.parts.application.address
    options = stage.options
    killed = ""
    if options.kill_engine is not None:
        after = span_text(options.kill_engine)
        killed = f"\nThe engine is killed with kill -9 {after} after each of its starts."
    return [
        *_addresses(stage),
        "",
        f"Submitting workflows, {options.rate:g} a second (seed {options.seed}). Some steps fail at"
        f" first,\nand the application crashes now and then.{killed}",
        "",
        "Try in another terminal (a KEY stands in the second column below):",
        f"  atomic runs --engine {engine}",
        f"  atomic show --engine {engine} --workflow placeOrder --key KEY",
        f"  curl {application}/effects",
        "",
        "Times are UTC. Ctrl-C stops everything.",
        "",
    ]


def _addresses(stage: DemoStage) -> list[str]:
    parts = stage.parts
    return table(
        [
            ["engine", parts.engine.address],
            ["application", parts.application.address],
            ["mail server", f"{parts.mail.address}, keeps mails in {safe(parts.maildir / 'new')}"],
        ]
    )
