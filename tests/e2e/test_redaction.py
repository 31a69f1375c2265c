"""What a client hides is nowhere that people look, with a real engine: a canary at each place of
payloads and answers, and everything that is written and shown searched for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner, Result
from msgspec import Struct

from engine.cli.main import main
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Application,
    Call,
    Client,
    EngineProcess,
    application,
    eventually,
    eventually_async,
    restart,
    running,
)
from tests.e2e.sse import event_stream
from tests.registry.files import secret, write

CANARY = "cAnArY-4111-9f"
OWN, OTHER = "own-4f81", "other-77ab"
"""Further secrets: of the answer alone, and in a header."""
PAYLOAD = {"card": {"number": CANARY}, "items": [{"iban": f"{CANARY}-i"}], "ok": "shown"}
RULES = ["/card/number", "/items/*/iban", "/secretOf", "X-Bank-Key"]
ROLES = ("admin", "operate", "read")
GOOD = json.dumps({"card": {"number": CANARY}, "secretOf": OWN, "plain": "shown"}).encode()


async def good(call: Call) -> Answer:
    return Answer(201, GOOD)


async def bad(call: Call) -> Answer:
    """Quotes the payload, and tells a secret of its own, and a header that it was given."""
    told = f"card {CANARY} and {call.payload['items'][0]['iban']} declined; X-Bank-Key: {OTHER}"
    answer = {"error": told, "secretOf": OWN, "headers": {"x-bank-key": OTHER}}
    return Answer(402, json.dumps(answer).encode())


async def page(call: Call) -> Answer:
    return Answer(500, f"<h1>{CANARY}</h1>".encode(), {"Content-Type": "text/html"})


async def elsewhere(call: Call) -> Answer:
    return Answer(302, b"", {"Location": f"http://bank/cards/{CANARY}"})


class Bank(Struct):
    """An engine with a client that hides something, its application, and people of each role."""

    engine: EngineProcess
    app: Application
    of: Client
    people: dict[str, httpx.AsyncClient]
    directory: Path

    async def run(self, name: str, **retry: Any) -> str:
        """A run that has ended or is paused."""
        posted = await self.of.post(
            self.app.at(name), name, PAYLOAD, retry={"count": 0, **retry}, prefer="respond-async"
        )
        run_id = str(posted.json()["runId"])

        async def stands() -> bool:
            found = await self.people["admin"].get(f"/api/v1/runs/{run_id}")
            return found.json()["run"]["status"] in ("completed", "failed", "paused")

        await eventually_async(stands)
        return run_id

    async def command(self, *arguments: str, role: str = "operate") -> Result:
        """What the command prints to somebody of this role."""
        env = {
            "ATOMIC_URL": self.engine.url,
            "ATOMIC_TOKEN_FILE": str(self.directory / f"{role}.token"),
        }
        call = partial(CliRunner().invoke, main, list(arguments), prog_name="atomic", env=env)
        return await trio.to_thread.run_sync(call)


@asynccontextmanager
async def bank(tmp_path: Path, rules: list[str] = RULES, **more: Any) -> AsyncIterator[Bank]:
    async with application(good=good, bad=bad, page=page, elsewhere=elsewhere) as app:
        for number, name in enumerate((*ROLES, "bank")):
            write(tmp_path / f"{name}.token", secret(number))
        text = f'targets = ["{app.url}/"]\ntoken_file = "../bank.token"\nredact = {rules}\n'
        write(tmp_path / "clients" / "bank.toml", text)
        files = {f"{name}_token_file": str(tmp_path / f"{name}.token") for name in ROLES}
        files["clients_dir"] = str(tmp_path / "clients")
        async with AsyncExitStack() as stack:
            engine = stack.enter_context(running(tmp_path, **SETTINGS, **files, **more))
            people = {}
            for name in (*ROLES, "bank"):
                headers = {"Authorization": f"Bearer {(tmp_path / f'{name}.token').read_text()}"}
                people[name] = await stack.enter_async_context(
                    httpx.AsyncClient(base_url=engine.url, headers=headers, timeout=60)
                )
            yield Bank(engine, app, Client(people["bank"], "bank"), people, tmp_path)


def hidden(text: str | bytes) -> None:
    """None of the secrets is in it."""
    text = text if isinstance(text, str) else text.decode("utf-8", "replace")
    for each in (CANARY, OWN, OTHER):
        assert each.lower() not in text.lower(), text


async def test_nobody_who_looks_sees_what_a_client_hides(tmp_path: Path) -> None:
    """Lists, trees, causes, bodies, events, commands, screens, metrics and the log; the calls and
    the application's own outcomes are whole."""
    async with bank(tmp_path) as it:
        ids = {name: await it.run(name) for name in ("good", "bad", "page", "elsewhere")}
        assert it.app.called("good")[0].payload == PAYLOAD
        outcome = await it.people["bank"].get(f"/api/v1/steps/{ids['good']}/outcome")
        assert json.dumps(outcome.json()["response"]) == GOOD.decode()
        again = await it.of.post(it.app.at("good"), "good", PAYLOAD)
        assert (again.json()["response"]["secretOf"], again.headers["idempotent-replayed"]) == (
            OWN,
            "true",
        )
        for role in ROLES:
            for path in _looks(ids):
                found = await it.people[role].get(path)
                assert found.status_code in (200, 403, 424), (role, path, found.text)
                if found.status_code != 403:
                    hidden(found.text)
        operator = it.people["operate"]
        body = await operator.get(f"/api/v1/steps/{ids['good']}/response")
        assert body.headers["atomic-redacted"] == "true"
        assert body.json() == {"card": {"number": "***"}, "secretOf": "***", "plain": "shown"}
        payload = await operator.get(f"/api/v1/steps/{ids['bad']}/payload")
        assert payload.json()["items"] == [{"iban": "***"}]
        bare = await it.of.post(it.app.at("good"), "bare")  # no payload is one that hides nothing
        told = await operator.get(f"/api/v1/steps/{bare.json()['runId']}/response")
        assert told.json()["plain"] == "shown"
        seen = await operator.get(f"/api/v1/steps/{ids['good']}/outcome")
        assert (seen.json()["response"]["secretOf"], seen.headers["atomic-redacted"]) == (
            "***",
            "true",
        )
        tree = (await operator.get(f"/api/v1/runs/{ids['bad']}")).json()
        assert tree["steps"][0]["excerpt"] == "card *** and *** declined; X-Bank-Key:***"
        page_tree = (await operator.get(f"/api/v1/runs/{ids['page']}")).json()
        assert page_tree["steps"][0]["excerpt"] == "***"
        for arguments in _commands(ids):
            done = await it.command(*arguments)
            assert done.exception is None or isinstance(done.exception, SystemExit), done.output
            hidden(done.output)
        hidden(await _events(it))
        it.engine.stop()
        hidden(it.engine.text)


def _looks(ids: dict[str, str]) -> list[str]:
    one = [
        f"/api/v1/{path}"
        for run_id in ids.values()
        for path in (
            f"runs/{run_id}",
            f"steps/{run_id}",
            f"steps/{run_id}/outcome",
            f"steps/{run_id}/payload",
            f"steps/{run_id}/response",
            f"steps/{run_id}/attempts/1/response",
        )
    ]
    many = ["status", "runs", "causes", "retries", "bulk", "holds", "audit", "clients"]
    return [*one, *(f"/api/v1/{path}" for path in many), "/metrics"]


def _commands(ids: dict[str, str]) -> list[tuple[str, ...]]:
    each: list[tuple[str, ...]] = []
    for run_id in ids.values():
        each += [
            ("show", run_id), ("show", run_id, "--json"), ("body", run_id),
            ("body", run_id, "--payload"), ("outcome", run_id), ("outcome", run_id, "--json"),
        ]  # fmt: skip
    return [*each, ("runs",), ("runs", "--json"), ("causes",), ("status",), ("tui", "--once")]


async def _events(it: Bank) -> str:
    """The whole stream, as an admin hears it."""
    sequence = (await it.people["admin"].get("/api/v1/status")).json()["sequence"]
    begin = f"{sequence.rpartition('-')[0]}-0"
    told: list[str] = []
    async with event_stream(it.engine, begin, secret(0)) as events:
        while sum("attempt-ended" in each for each in told) < len(it.app.calls):
            told.append(json.dumps((await events.next()).data))
    return "\n".join(told)


async def test_what_was_hidden_before_another_payload_is_hidden_after_it(tmp_path: Path) -> None:
    """The answer of then quotes the payload of then, which today's payload knows nothing of."""

    async def charge(call: Call) -> Answer:
        return Answer(200, json.dumps({"note": f"charged {call.payload['card']}"}).encode())

    async with bank(tmp_path, ["/card"]) as it:
        it.app.handlers["charge"] = charge
        posted = await it.of.post(it.app.at("charge"), "charge", {"card": CANARY})
        run_id = posted.json()["runId"]
        operator = it.people["operate"]
        order = {"action": "rerun", "payload": {"card": OTHER}, "reason": "a typo"}
        done = await operator.post(f"/api/v1/runs/{run_id}/actions", json=order)
        assert done.status_code == 202, done.text
        path = f"/api/v1/steps/{run_id}"

        async def completed() -> bool:
            found = (await operator.get(f"/api/v1/runs/{run_id}")).json()["run"]
            return (found["status"], found["generation"]) == ("completed", 2)

        await eventually_async(completed)
        looks = ("response", "response?generation=1", "response?generation=2",
                 "attempts/1/response", "attempts/2/response", "outcome")  # fmt: skip
        for look in looks:
            found = await operator.get(f"{path}/{look}")
            assert (found.status_code, "***" in found.text) == (200, True), found.text
            hidden(found.text)


async def test_an_admin_may_ask_for_all_of_it_and_that_is_kept(tmp_path: Path) -> None:
    """Others are refused, in words; both are in the audit. Nobody else's rules and no range show a
    part of it."""
    async with bank(tmp_path) as it:
        run_id = await it.run("good")
        path = f"/api/v1/steps/{run_id}/response"
        refused = await it.people["operate"].get(path, params={"whole": "true"})
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        assert "for the role admin" in refused.json()["detail"]
        for role in ("read", "bank"):
            assert (await it.people[role].get(path, params={"whole": "true"})).status_code == 403
        whole = await it.people["admin"].get(
            path, params={"whole": "true"}, headers={"Atomic-Actor": "ada"}
        )
        assert (whole.content, whole.headers["atomic-redacted"]) == (GOOD, "false")
        assert (await it.people["admin"].get(path, params={"whole": "yes"})).status_code == 400
        shown = (await it.people["admin"].get(path)).content
        part = await it.people["admin"].get(path, headers={"Range": "bytes=10-29"})
        assert (part.status_code, part.content) == (206, shown[10:30])
        assert part.headers["content-range"] == f"bytes 10-29/{len(shown)}"
        assert part.headers["atomic-full-size"] == str(len(shown))
        printed = await it.command("body", run_id, "--payload", "--whole", role="admin")
        assert json.loads(printed.stdout) == PAYLOAD
        denied = await it.command("body", run_id, "--whole")
        assert (denied.exit_code, "for the role admin" in denied.output) == (4, True)
        assert "masked in part" in (await it.command("body", run_id)).stderr
        audit = (await it.people["admin"].get("/api/v1/audit")).json()["entries"]
    acts = [(e["actor"], e["act"], e["what"], e["status"]) for e in audit if "body" in e["act"]]
    own = f"{run_id} 1"
    names = [name.rpartition(" (")[0] or name for name, *_ in acts]
    assert [name.partition(".")[0] for name in names] == ["operate", "admin", "admin", "operate"]
    assert [it[1:] for it in acts] == [
        ("body --whole --attempt", own, 403),
        ("body --whole --payload", run_id, 200),
        ("body --whole", run_id, 200),
        ("body --whole", run_id, 403),
    ]
    assert "(ada)" in acts[2][0]


@pytest.mark.slow
async def test_it_holds_after_a_crash_and_when_the_client_has_gone(tmp_path: Path) -> None:
    """The reason was masked before it was recorded; the rules of a client outlive it, as its runs
    do; the body is recorded whole."""
    async with bank(tmp_path) as it:
        run_id = await it.run("bad")
        it.engine.kill()
        (tmp_path / "clients" / "bank.toml").unlink()
        files = {f"{name}_token_file": str(tmp_path / f"{name}.token") for name in ROLES}
        files["clients_dir"] = str(tmp_path / "clients")
        again = await restart(it.engine, tmp_path, **SETTINGS, **files)
        for path in (f"runs/{run_id}", f"steps/{run_id}/payload", f"steps/{run_id}/response"):
            found = await it.people["operate"].get(f"/api/v1/{path}")
            assert found.status_code == 200
            hidden(found.text)
        path = f"/api/v1/steps/{run_id}/payload"
        whole = await it.people["admin"].get(path, params={"whole": "true"})
        assert whole.json() == PAYLOAD
        again.stop()
        hidden(again.text)


async def test_who_hides_nothing_is_shown_everything(tmp_path: Path) -> None:
    """As before there was anything to hide."""
    async with bank(tmp_path, []) as it:
        run_id = await it.run("good")
        found = await it.people["operate"].get(f"/api/v1/steps/{run_id}/response")
        assert (found.content, found.headers["atomic-redacted"]) == (GOOD, "false")
        seen = await it.people["operate"].get(f"/api/v1/steps/{run_id}/outcome")
        assert seen.json()["response"] == json.loads(GOOD)
        assert "atomic-redacted" not in seen.headers


async def test_traces_have_none_of_it(tmp_path: Path) -> None:
    """Spans say why attempts failed, by the reason that was recorded."""
    spans: list[bytes] = []

    async def traces(call: Call) -> Answer:
        spans.append(call.body)
        return Answer(200, b"")

    async with application(traces=traces) as collector:
        async with bank(tmp_path, otlp_endpoint=collector.url) as it:
            await it.run("bad")
            await it.run("elsewhere")
            await eventually(lambda: b"declined" in b"".join(spans))
            it.engine.stop()
    hidden(b"".join(spans))
