"""Those who submit: real HTTP, and a note of everything that they were told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpx
import trio

from tests.kill.application import RETRY, SAYS_NOTHING, WORKFLOW, now_ms

CLIENT = "trial"
BLANKS = 100


class Kind(StrEnum):
    """How a caller behaves."""

    PATIENT = "patient"
    """Posts again, with the same key, until it knows the outcome."""
    FORGETFUL = "forgetful"
    """Posts `Prefer: respond-async` until 202 has come, and never again."""
    VANISHING = "vanishing"
    """Posts once and hangs up. Was promised nothing."""
    CUT = "cut"
    """Is cut off before its post is whole, though what came looks whole: asks for nothing."""


@dataclass
class Told:
    """An answer that a caller got."""

    at_ms: int
    status: int
    body: bytes
    id: str
    replayed: bool


@dataclass
class Submission:
    """One workflow that was asked for, and all that the engine said of it."""

    key: str
    kind: Kind
    payload: dict[str, Any]
    posts: int = 0
    told: list[Told] = field(default_factory=list)
    gone: str = ""
    """The id of its run, once somebody was told that it has gone."""

    @property
    def acknowledged(self) -> bool:
        """Whether the engine has promised anything."""
        return bool(self.told)


def is_gone(answer: httpx.Response) -> bool:
    """It says that the run had ended, and was removed."""
    return answer.status_code == 410 and answer.json()["type"].endswith("/outcome-expired")


@dataclass
class Load:
    """All submissions of a trial."""

    url: str
    target: str
    chance: Random
    submissions: dict[str, Submission] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    """Answers that the contract does not have for such posts."""
    cuts: int = 0
    """Posts that were cut off."""
    pruned: bool = False
    """Runs may go."""

    def kinds(self) -> Iterator[Kind]:
        """Whom the next submission comes from."""
        kinds, weights = list(Kind), (50, 38, 12, 25)
        while True:
            yield from self.chance.choices(kinds, weights)

    def new(self, kind: Kind) -> Submission:
        """The next submission. One of ten is of a workflow that fails for good."""
        number = len(self.submissions)
        payload = {"number": number, "fails": self.chance.random() < 0.1}
        submission = Submission(f"k-{number}", kind, payload)
        self.submissions[submission.key] = submission
        return submission

    def _body(self, key: str, payload: dict[str, Any]) -> dict[str, Any]:
        return {
            "workflowName": WORKFLOW,
            "stepInvokeUrl": f"{self.target}/{WORKFLOW}",
            "idempotencyKey": key,
            "payload": payload,
            "retry": RETRY,
        }

    async def cut(self) -> None:
        """Send a post, but for some of the blanks behind its JSON, and hang up. No run of it may be
        there at the end: nobody has asked for one."""
        key, payload = f"cut-{self.chance.randrange(10**9)}", {"number": -1, "fails": False}
        body = json.dumps(self._body(key, payload)).encode() + b" " * BLANKS
        host = urlsplit(self.url)
        head = (
            f"POST /{CLIENT} HTTP/1.1\r\nHost: {host.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        assert host.hostname is not None
        assert host.port is not None
        with suppress(OSError, trio.BrokenResourceError):
            async with await trio.open_tcp_stream(host.hostname, host.port) as stream:
                await stream.send_all(head.encode() + body[: -self.chance.randint(1, BLANKS)])
                await trio.sleep(self.chance.uniform(0.02, 0.6))
                self.cuts += 1

    async def post(self, http: httpx.AsyncClient, submission: Submission) -> Told | None:
        """Post it once. None: nothing was said of the workflow."""
        submission.posts += 1
        headers = {"Prefer": "respond-async"} if submission.kind is Kind.FORGETFUL else {}
        body = self._body(submission.key, submission.payload)
        try:
            answer = await http.post(f"{self.url}/{CLIENT}", json=body, headers=headers)
        except httpx.TransportError:
            return None
        if answer.status_code in SAYS_NOTHING:
            return None
        if self.pruned and is_gone(answer):
            submission.gone = str(answer.json()["runId"])
            return None
        if answer.status_code not in (200, 202, 424):
            self.surprises.append(f"{submission.key}: {answer.status_code} {answer.text[:300]}")
            return None
        replayed = "idempotent-replayed" in answer.headers
        told = Told(
            now_ms(), answer.status_code, answer.content, str(answer.json()["id"]), replayed
        )
        submission.told.append(told)
        return told


async def call(load: Load, closing: trio.Event, seed: str) -> None:
    """One caller: submits one workflow after the other until the trial closes."""
    chance = Random(seed)
    async with httpx.AsyncClient(timeout=httpx.Timeout(5.0, read=15.0)) as http:
        for kind in load.kinds():
            if closing.is_set():
                return
            if kind is Kind.CUT:
                await load.cut()
                await trio.sleep(chance.uniform(0.02, 0.1))
                continue
            submission = load.new(kind)
            if kind is Kind.VANISHING:
                with trio.move_on_after(chance.uniform(0.001, 0.1)):
                    await load.post(http, submission)
                continue
            while await load.post(http, submission) is None and not submission.gone:
                await trio.sleep(chance.uniform(0.02, 0.1))
            if kind is Kind.FORGETFUL:
                await trio.sleep(chance.uniform(0.02, 0.2))
