"""A small fake of the engine, and the application, its mail server and that engine on real sockets.

The fake knows of the contract what the application relies on: identity by key and `stepKey`, the
parent token, retries (at once: time is not what is tested here), `Atomic-No-Retry`, 424,
`Atomic-Suspend`, 202 for `Prefer: respond-async`. It records every attempt.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from quart import Quart, Response, jsonify, request

from demo_app.app import Settings, open_app
from demo_app.carrier import Carrier
from demo_app.faults import Draw
from demo_app.listener import Listener, serve
from demo_app.scenario import Submission
from demo_app.smtp import count_by_message_id, keep_mail

STILL_S_MAX = 20.0
RETRIES_MAX = 10
ATTEMPTS_MAX = 30


@dataclass(eq=False)
class Step:
    """One step of the fake: what was posted, its attempts' statuses (0: no answer), its outcome."""

    id: str
    body: dict[str, Any]
    statuses: list[int] = field(default_factory=list)
    answers: list[httpx.Response] = field(default_factory=list)
    children: list["Step"] = field(default_factory=list)
    outcome: tuple[int, dict[str, Any]] | None = None
    task: "asyncio.Task[None] | None" = None

    @property
    def name(self) -> str:
        """The step's key, else the last segment of its URL."""
        return str(self.body.get("stepKey") or self.body["stepInvokeUrl"].rpartition("/")[2])


class FakeEngine:
    """`POST /{client}` as an ASGI application; `steps` in the order they were posted."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.steps: list[Step] = []
        self.posts: list[dict[str, Any]] = []
        self.refuse_next: list[int] = []
        self.app = Quart("fake_engine")
        self.app.post("/<client>")(self._submit)
        self._http = http
        self._by_identity: dict[tuple[str, ...], Step] = {}
        self._by_parent_token: dict[str, Step] = {}

    def step(self, name: str) -> Step:
        """The only step of this name."""
        (found,) = [step for step in self.steps if step.name == name]
        return found

    async def _submit(self, client: str) -> Response:
        body = await request.get_json()
        self.posts.append(body)
        if self.refuse_next:
            return self._respond(self.refuse_next.pop(0), {"title": "refused by the test"})
        parent = self._by_parent_token.get(request.headers.get("Atomic-Parent", ""))
        step = self._find(client, body, parent)
        assert step.task is not None
        if request.headers.get("Prefer") == "respond-async" and step.outcome is None:
            return self._respond(202, {"id": step.id, "status": "running"})
        await asyncio.shield(step.task)
        assert step.outcome is not None
        return self._respond(*step.outcome)

    def _respond(self, status: int, body: dict[str, Any]) -> Response:
        response = jsonify(body)
        response.status_code = status
        return response

    def _find(self, client: str, body: dict[str, Any], parent: Step | None) -> Step:
        name, key = body["workflowName"], body["idempotencyKey"]
        # Inside a run a step is found by these three, whoever its parent is.
        root = key if parent is None else parent.id.partition(".")[0]
        where = () if parent is None else (name, key, body.get("stepKey", body["stepInvokeUrl"]))
        identity = (client, root, *where)
        step = self._by_identity.get(identity)
        if step is None:
            step = Step(root if parent is None else f"{root}.{len(self.steps)}", body)
            self._by_identity[identity] = step
            self.steps.append(step)
            if parent is not None:
                parent.children.append(step)
            step.task = asyncio.create_task(self._drive(step))
        return step

    @property
    def moves(self) -> int:
        """How many posts have come and attempts have ended so far."""
        return len(self.posts) + sum(len(step.statuses) for step in self.steps)

    async def stop(self) -> None:
        """Drive no step any further: what is open when a test fails is not left to the next."""
        tasks = [step.task for step in self.steps if step.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drive(self, step: Step) -> None:
        failures = 0
        while step.outcome is None:
            assert len(step.statuses) < ATTEMPTS_MAX, f"{step.name} never ends: {step.statuses}"
            answer = await self._attempt(step)
            status = 0 if answer is None else answer.status_code
            step.statuses.append(status)
            if answer is not None:
                step.answers.append(answer)
            open_tasks = [child.task for child in step.children if child.outcome is None]
            if answer is not None and answer.is_success:
                step.outcome = (
                    200,
                    {"id": step.id, "status": "completed", "response": answer.json()},
                )
            elif status in (0, 503) and open_tasks:
                await asyncio.wait([t for t in open_tasks if t], return_when="FIRST_COMPLETED")
            elif answer is not None and answer.headers.get("Atomic-Suspend"):
                continue  # the child has ended since: invoke again
            else:
                failures += 1
                final = answer is not None and answer.headers.get("Atomic-No-Retry") == "true"
                if final or status == 424 or failures > RETRIES_MAX:
                    last = {"httpStatus": status}
                    step.outcome = 424, {"title": f"{step.name} failed", "lastAttempt": last}

    async def _attempt(self, step: Step) -> httpx.Response | None:
        parent_token = f"{step.id}#{len(step.statuses) + 1}"
        self._by_parent_token[parent_token] = step
        headers = {
            "Idempotency-Key": f'"own:{step.id}"',
            "Atomic-Parent": parent_token,
            "Atomic-Workflow": step.body["workflowName"],
        }
        content = {"idempotencyKey": step.body["idempotencyKey"], "payload": step.body["payload"]}
        try:
            return await self._http.post(
                step.body["stepInvokeUrl"], json=content, headers=headers, timeout=None
            )
        except httpx.TransportError:
            return None


@dataclass
class Demo:
    """Everything that runs in one test."""

    http: httpx.AsyncClient
    engine: FakeEngine
    engine_url: str
    app_url: str
    maildir: Path
    slept_s: list[float]

    async def submit(self, *submissions: Submission) -> list[httpx.Response]:
        """Submit all at once, straight to the engine; their answers.

        They are worked on side by side, so each may take as long as all of them do together: the
        test fails when nothing has moved for STILL_S_MAX, however long that is.
        """
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(self._submit(one)) for one in submissions]
            open_: set[asyncio.Task[httpx.Response]] = set(answers)
            while open_:
                before = self.engine.moves
                _, open_ = await asyncio.wait(open_, timeout=STILL_S_MAX)
                assert not open_ or self.engine.moves > before, "nothing moves any more"
        return [answer.result() for answer in answers]

    async def _submit(self, submission: Submission) -> httpx.Response:
        url = f"{self.engine_url}/demo"
        return await self.http.post(url, json=submission.body(self.app_url), timeout=None)

    async def call(
        self, path: str, payload: Any, own_key: str = "own-1", key: str = "run-1"
    ) -> httpx.Response:
        """Call a step as the engine would, once."""
        return await self.http.post(
            f"{self.app_url}{path}",
            json={"idempotencyKey": key, "payload": payload},
            headers={"Idempotency-Key": f'"{own_key}"', "Atomic-Workflow": "test"},
        )

    async def plan(self, step: str, *faults: str, key: str = "run-1") -> None:
        """Plan faults by the application's control."""
        body = {"key": key, "step": step, "faults": list(faults)}
        answer = await self.http.post(f"{self.app_url}/faults", json=body)
        assert answer.status_code == 200, answer.text

    async def effects(self, key: str | None = None) -> dict[str, Any]:
        """The JSON of `/effects`."""
        params = {} if key is None else {"key": key}
        answer = await self.http.get(f"{self.app_url}/effects", params=params)
        listing: dict[str, Any] = answer.json()
        return listing

    async def row(self) -> dict[str, Any]:
        """The only row of `/effects`."""
        (row,) = (await self.effects())["effects"]
        return dict(row)

    def mails(self) -> dict[str, int]:
        """Message-ID to how often it was received."""
        return count_by_message_id(self.maildir)


@asynccontextmanager
async def run_demo(
    directory: Path, *, draw: Draw | None = None, carrier: Carrier | None = None
) -> AsyncIterator[Demo]:
    """Application, SMTP server and fake engine, each on a free port of 127.0.0.1.

    The application's waits (slow partner, back-off of posts) are noted and take no time.
    """
    slept_s: list[float] = []

    async def sleep(seconds: float) -> None:
        slept_s.append(seconds)
        await asyncio.sleep(0)

    stop = asyncio.Event()
    limits = httpx.Limits(max_connections=None)
    maildir = directory / "mail"
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(limits=limits, timeout=20))
        smtp_port = await stack.enter_async_context(keep_mail(maildir))
        engine_listener = stack.enter_context(Listener("127.0.0.1", 0))
        app_listener = stack.enter_context(Listener("127.0.0.1", 0))
        engine_url = f"http://127.0.0.1:{engine_listener.port}"
        settings = Settings(
            engine_url, "demo", directory, ("127.0.0.1", smtp_port), draw=draw, carrier=carrier
        )
        app = await stack.enter_async_context(open_app(settings, app_listener, sleep))
        engine = FakeEngine(http)
        for listener in (engine_listener, app_listener):
            listener.listen()
        async with asyncio.TaskGroup() as servers:
            servers.create_task(serve(engine.app, engine_listener, stop.wait))
            servers.create_task(serve(app, app_listener, stop.wait))
            if carrier is not None:
                servers.create_task(carrier.run(app, stop.wait))
            app_url = f"http://127.0.0.1:{app_listener.port}"
            try:
                yield Demo(http, engine, engine_url, app_url, maildir, slept_s)
            finally:
                await engine.stop()
                stop.set()
