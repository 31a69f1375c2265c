"""From an open engine to one that asks for tokens, by the command alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner, Result
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from engine.cli.main import main
from engine.client import AsyncClient, Refused, StepFailed
from tests.e2e.harness import (
    SETTINGS,
    Answer,
    Call,
    application,
    client,
    eventually,
    running,
)

Command = Callable[..., Result]
SECRET = re.compile(r"atomic_[A-Za-z0-9_-]{43}")
SIGNING = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
PAUSED_BY_LISTS = "error:target-not-allowed is:stuck"
LOOKS = (
    ("client", "ls", "--json"), ("client", "ls"), ("token", "ls", "--json"), ("status", "--json"),
    ("runs", "--json"), ("limits", "--json"),
)  # fmt: skip


@pytest.fixture
def atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the command in this process: with the token of which file, if any."""
    for name in ("ATOMIC_URL", "ATOMIC_CLIENT", "ATOMIC_ACTOR", "ATOMIC_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, token: str | None = None) -> Result:
        told = {} if token is None else {"ATOMIC_TOKEN_FILE": str(tmp_path / token)}
        result = CliRunner().invoke(main, list(arguments), prog_name="atomic", env=told)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return run


def kept(directory: Path, name: str, secret: str) -> Path:
    """The secret in a file of its own."""
    path = directory / name
    path.write_text(f"{secret.strip()}\n")
    return path


async def test_an_engine_begins_to_ask_for_tokens(
    tmp_path: Path, atomic: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first client brings an admin token along, and nobody is locked out; posts then need the
    client's token, and a rotated one is taken from its file without a restart. No secret is in
    what the engine wrote."""

    async def ask(*arguments: str, token: str | None = None) -> Result:
        return await trio.to_thread.run_sync(lambda: atomic(*arguments, token=token))

    async def ok(call: object) -> Answer:
        return Answer(200)

    with running(tmp_path, **SETTINGS) as engine:
        monkeypatch.setenv("ATOMIC_URL", engine.url)
        async with application(ok=ok) as app:
            names = ("--workflow", "w", "--client", "shop", "--key", "k0")
            before = await ask("submit", app.at("ok"), *names)
            assert before.exit_code == 0, before.output
            added = await ask("client", "add", "shop", "--target", f"{app.url}/")
            assert added.exit_code == 0, added.output
            kept(tmp_path, "shop", added.stdout)
            kept(tmp_path, "admin", SECRET.findall(added.stderr)[0])
            assert SECRET.fullmatch(added.stdout.strip())

            denied = await ask("status")
            assert (denied.exit_code, "ATOMIC_TOKEN_FILE" in denied.stderr) == (4, True)
            denied = await ask("status", token="shop")
            assert "needs the role read; the token 'shop' has submit" in denied.stderr
            assert (await ask("status", token="admin")).exit_code == 0
            listed = await ask("token", "ls", token="admin")
            assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ["admin", "shop"]

            async with AsyncClient(engine.url, token_file=tmp_path / "shop") as client:
                post: Any = {"client": "shop", "url": app.at("ok"), "key": "k1"}
                first = await client.submit("w", **post)
                assert (await client.outcome(first.id)).id == first.id
                with pytest.raises(Refused, match="it posts to /shop, and not to /cafe"):
                    await client.submit("w", **post | {"client": "cafe"})
                rotated = await ask("token", "rotate", "shop", "--overlap", "0", token="admin")
                with pytest.raises(Refused, match="not one of this engine"):
                    await client.submit("w", **post | {"key": "k2"})
                kept(tmp_path, "shop", rotated.stdout)
                await client.submit("w", **post | {"key": "k2"})
                off = await ask("client", "disable", "shop", token="admin")
                assert off.exit_code == 0
                with pytest.raises(Refused, match="is disabled"):
                    await client.submit("w", **post | {"key": "k3"})
                assert (await client.outcome(first.id)).id == first.id, "what was recorded is read"
                await ask("client", "enable", "shop", token="admin")
                await client.submit("w", **post | {"key": "k3"})
                gone = await ask("client", "rm", "shop", token="admin")
                assert gone.exit_code == 0, gone.output
                with pytest.raises(Refused, match="not one of this engine"):
                    await client.submit("w", **post | {"key": "k4"})
        assert engine.stop() == 0
    written = b"".join(each.read_bytes() for each in tmp_path.glob("*.db*")) + engine.text.encode()
    for secret in (added.stdout, rotated.stdout, SECRET.findall(added.stderr)[0]):
        assert secret.strip().encode() not in written


async def test_the_first_client_tells_whose_runs_it_would_pause(
    tmp_path: Path, atomic: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it does anything; who means it has them paused, and they go on when their name is
    defined too. The log says how many there are."""
    is_up = False

    async def ok(call: Call) -> Answer:
        return Answer(200 if is_up else 503)

    async def ask(*arguments: str, token: str | None = "admin") -> Result:
        return await trio.to_thread.run_sync(lambda: atomic(*arguments, token=token))

    with running(tmp_path, **SETTINGS) as engine:
        monkeypatch.setenv("ATOMIC_URL", engine.url)
        async with application(ok=ok) as app, client(engine.url, "default") as default:
            retry = {"count": 9, "backOff": 3_600_000}
            posted = await default.post(app.at("ok"), retry=retry, prefer="respond-async")
            run = posted.json()["id"]
            await default.wait_run(run, "backing-off")
            words = ("client", "add", "shop", "--target", f"{app.url}/")
            refused = await ask(*words, token=None)
            assert (refused.exit_code, refused.stdout) == (4, "")
            assert "an open run of another name (default) would be paused" in refused.stderr
            await default.read("/status")  # still without a token: nothing was made
            added = await ask(*words, "--pause-others", token=None)
            kept(tmp_path, "admin", SECRET.findall(added.stderr)[0])
            await eventually(lambda: engine.events("clients-undefined"))
            assert engine.events("clients-undefined")[0]["clients"] == ["default"]
            await ask("retry", run)
            shown = await ask("show", run)
            while "paused" not in shown.stdout:
                shown = await ask("show", run)
            assert "there is no client default; to have one: `atomic client add" in shown.stdout
            is_up = True
            added = await ask("client", "add", "default", "--target", f"{app.url}/")
            assert (added.exit_code, added.stderr.count("shown this once")) == (0, 1)
            resumed = await ask("bulk", "resume", "--filter", PAUSED_BY_LISTS, "--yes", "1")
            assert resumed.exit_code == 0, resumed.output
            outcome = await ask("outcome", run)
            assert outcome.exit_code == 0, outcome.output


async def test_calls_are_signed_with_secrets_that_commands_make(
    tmp_path: Path, atomic: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application takes every call while its secret is exchanged for another, and by no other;
    who lists clients, the log and the metrics have no secret in them."""
    known: list[str] = []

    async def ok(call: Call) -> Answer:
        for it in known:
            with suppress(WebhookVerificationError):
                Webhook(it).verify(call.body, dict(call.headers))
                return Answer(200)
        return Answer(401)

    async def ask(*arguments: str, token: str | None = "admin") -> Result:
        done = await trio.to_thread.run_sync(lambda: atomic(*arguments, token=token))
        assert done.exit_code == 0, done.output
        return done

    with running(tmp_path, **SETTINGS) as engine:
        monkeypatch.setenv("ATOMIC_URL", engine.url)
        async with application(ok=ok) as app:
            added = await ask("client", "add", "shop", "--target", f"{app.url}/", token=None)
            kept(tmp_path, "shop", added.stdout)
            kept(tmp_path, "admin", SECRET.findall(added.stderr)[0])

            async def statuses(key: str) -> list[str]:
                """Of a run with one attempt, by whoever has which secrets."""
                async with AsyncClient(engine.url, token_file=tmp_path / "shop") as client:
                    post: Any = {"client": "shop", "url": app.at("ok"), "retry": {"count": 0}}
                    try:
                        return [(await client.submit("w", **post, key=key)).status]
                    except StepFailed as failed:
                        return [f"{failed.last_attempt and failed.last_attempt.http_status}"]

            made = []
            for number in (1, 2):
                done = await ask("client", "secret", "add", "shop")
                made.append(done.stdout.strip())
                assert SIGNING.fullmatch(made[-1])
                assert ("client secret rm shop" in done.stderr) is (number == 2)
            assert await statuses("none known") == ["401"]
            for key, secret in (("old", made[0]), ("new", made[1])):
                known[:] = [secret]
                assert await statuses(key) == ["completed"]
            assert "2 secrets" in (await ask("client", "ls")).stdout
            await ask("client", "secret", "rm", "shop")
            assert await statuses("new alone") == ["completed"]
            known[:] = [made[0]]
            assert await statuses("old alone") == ["401"]
            seen = "".join([(await ask(*it)).output for it in LOOKS])
        assert engine.stop() == 0
    for key in made:
        assert key.removeprefix("whsec_") not in seen + engine.text


async def test_a_head_is_refused_before_its_body(tmp_path: Path, atomic: Command) -> None:
    """By the real engine, whichever route the body is for; with a token it is read."""
    made = await trio.to_thread.run_sync(
        lambda: atomic("token", "add", "root", "--role", "admin", "--db", str(tmp_path / "a.db"))
    )
    assert made.exit_code == 0, made.output
    bearer = f"Authorization: Bearer {made.stdout.strip()}\r\n"
    with running(tmp_path, **SETTINGS) as engine:
        for path in ("/shop", "/api/v1/bulk", "/api/v1/tokens", "/nothing/here"):
            for token, status in (("", b"401"), (bearer, b"100")):
                port = int(engine.url.rpartition(":")[2])
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    head = (
                        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n{token}"
                        "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n"
                    )
                    await stream.send_all(head.encode())
                    answer = await stream.receive_some()
                if token and path in ("/shop", "/nothing/here"):
                    assert answer[9:12] in (b"403", b"100"), answer  # there is no such client
                else:
                    assert answer[9:12] == status, (path, answer)


def test_a_file_that_an_engine_has_is_not_changed(tmp_path: Path, atomic: Command) -> None:
    """It is refused in the words that name the engine; without one the file is changed, and what
    the registry refuses is a line, too."""
    db = str(tmp_path / "a.db")
    added = atomic("client", "add", "shop", "--target", "http://shop:9000/", "--db", db)
    assert added.exit_code == 0
    again = atomic("client", "add", "shop", "--target", "http://shop:9000/", "--db", db)
    assert (again.exit_code, again.stderr) == (4, "atomic: There is a client 'shop' already.\n")
    both = atomic("token", "add", "a", "--role", "admin", "--db", db, "--engine", "http://a")
    assert both.exit_code == 2
    with running(tmp_path, **SETTINGS) as engine:
        refused = atomic("token", "add", "b", "--role", "admin", "--db", db)
        assert refused.exit_code == 4
        assert f"process id {engine.pid} at {engine.url}" in refused.stderr
        bare = httpx.get(f"{engine.url}/api/v1/status")
        assert bare.status_code == 401, "what was made before the start counts from the start"
        for path in ("/healthz", "/problems/"):
            assert httpx.get(engine.url + path).status_code == 200
    assert os.access(db, os.R_OK)
