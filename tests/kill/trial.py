"""One trial: load, kills, healing, judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import trio

from tests.kill.callers import Kind, Load, Submission, call
from tests.kill.check import Findings, check_answers, check_records
from tests.kill.processes import DiedByItself, Process
from tests.kill.slow_sync import slow_sync
from tests.loopback import free_port

CALLERS = 8
LIFE_S = (0.1, 1.5)
APP_LIFE_S = (0.3, 3.5)
KILLED_WHILE_STARTING = 0.25
"""This share of the kills does not wait until the engine is ready: they hit its recovery."""
HEAL_WITHIN_S = 60.0
TAIL = 5
"""So many fresh workflows must end well after everything."""
OPEN = ("pending", "running", "backing-off", "waiting", "paused")


@dataclass
class Trial:
    """What is tried, and what came of it."""

    directory: Path
    seed: int
    kills: int
    app_kills: int
    slow_sync_ms: int = 0
    """How much longer the disk takes for each sync of the engine's."""
    mutant: str = ""
    """A planted bug that the engine has (`tests/mutants`)."""
    pruned: bool = False
    """What has completed is kept for seconds, and the journal too (`pruned.py`)."""
    ready_s: list[float] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    def __post_init__(self) -> None:
        port, app_port = free_port(), free_port()
        self.url, self.app_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{app_port}"
        self.database = self.directory / "atomic.db"
        self.ledger = self.directory / "ledger.db"
        self.log = self.directory / "engine.log"
        planted = ("tests.mutants.plant", self.mutant) if self.mutant else ()
        pruned = ("tests.kill.pruned",) if self.pruned else ()
        self.engine = Process(
            (
                *("-m", *planted, *pruned, "engine.cli"),
                *("serve", "--db", str(self.database), "--port", str(port)),
            ),
            self.log,
            slow_sync(self.directory, self.slow_sync_ms)
            | ({"ATOMIC_RETENTION_DAYS": "1"} if self.pruned else {}),
        )
        self.app = Process(
            (
                *("-m", "tests.kill.application", str(app_port), self.url, str(self.ledger)),
                str(self.seed),
            ),
            self.directory / "application.log",
        )
        self.load = Load(self.url, self.app_url, Random(f"{self.seed} load"), pruned=self.pruned)

    async def run(self) -> Findings:
        """Everything, in order; the findings say what was seen and what is wrong."""
        try:
            await self._run()
        except DiedByItself as error:
            self.findings.violation(f"a process ended by itself: {error}")
        finally:
            with trio.CancelScope(shield=True):
                code = await self.engine.stop()
                await self.app.stop()
        if code != 0:
            self.findings.violation(f"the engine's graceful stop ended with {code}")
        self.findings.violations += self.load.surprises
        check_records(self.findings, self.load, self.database, self.ledger, self.log)
        return self.findings

    async def _run(self) -> None:
        closing = trio.Event()
        async with trio.open_nursery() as callers:
            for number in range(CALLERS):
                callers.start_soon(call, self.load, closing, f"{self.seed} caller {number}")
            async with trio.open_nursery() as killers:
                killers.start_soon(self._kill_engine)
                killers.start_soon(self._kill_app)
            closing.set()
            callers.cancel_scope.deadline = trio.current_time() + HEAL_WITHIN_S
        async with httpx.AsyncClient(timeout=30.0) as http:
            await self._heal(http)
            await check_answers(self.findings, self.load, http)
            await self._tail(http)

    async def _kill_engine(self) -> None:
        chance = Random(f"{self.seed} engine")
        for _ in range(self.kills):
            self.engine.start()
            if chance.random() >= KILLED_WHILE_STARTING:
                await self._ready()
            await trio.sleep(chance.uniform(*LIFE_S))
            self.engine.kill()
        self.engine.start()
        await self._ready()

    async def _ready(self) -> None:
        async with httpx.AsyncClient(timeout=5.0) as http:
            self.ready_s.append(await self.engine.wait_ready(http, f"{self.url}/readyz"))

    async def _kill_app(self) -> None:
        chance = Random(f"{self.seed} application")
        for _ in range(self.app_kills):
            self.app.start()
            await trio.sleep(chance.uniform(*APP_LIFE_S))
            self.app.kill()
        self.app.start()

    async def _heal(self, http: httpx.AsyncClient) -> None:
        """Wait until every run has ended."""
        counts: dict[str, int] = {}
        with trio.move_on_after(HEAL_WITHIN_S):
            while True:
                counts = (await http.get(f"{self.url}/api/v1/status")).json()["counts"]
                if not any(counts[state] for state in OPEN):
                    return
                await trio.sleep(0.1)
        self.findings.violation(f"runs are open {HEAL_WITHIN_S:g} s after the last kill: {counts}")

    async def _tail(self, http: httpx.AsyncClient) -> None:
        """The last ones must be good: an engine that only replays would pass without this."""
        for number in range(TAIL):
            submission = Submission(
                f"tail-{number}", Kind.PATIENT, {"number": -1 - number, "fails": False}
            )
            self.load.submissions[submission.key] = submission
            told = await self.load.post(http, submission)
            if told is None or told.status != 200 or told.replayed:
                self.findings.violation(f"{submission.key}: not completed after healing: {told}")
