"""What the environment says to a client that is told nothing: engine, client, token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.client import AsyncClient, Client, Refused
from engine.wire import Problem
from tests.client.fake_engine import FakeEngine, answer, client, refusal, script

POST: Any = {"workflow": "w", "url": "http://app/index", "key": "k"}
VARIABLES = ("ATOMIC_URL", "ATOMIC_CLIENT", "ATOMIC_TOKEN_FILE", "ATOMIC_TOKEN")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """But what a test sets."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("atomic_one\n")
    return path


def where(atomic: AsyncClient | Client) -> str:
    """The engine that a client asks."""
    return str(atomic._exchange._engine)


@pytest.mark.parametrize("kind", [AsyncClient, Client])
def test_the_address(monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    """This machine's, else the environment's, else what the code says."""
    assert where(kind()) == "http://127.0.0.1:8420"
    monkeypatch.setenv("ATOMIC_URL", "https://engine.internal/")
    assert where(kind()) == "https://engine.internal"
    assert where(kind("http://other:1")) == "http://other:1"
    monkeypatch.setenv("ATOMIC_URL", "")
    assert where(kind()) == "http://127.0.0.1:8420"
    monkeypatch.setenv("ATOMIC_URL", "engine.internal")
    with pytest.raises(ValueError, match=r"'engine\.internal' is not the URL of an engine"):
        kind()


async def test_whose_run_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """`default`, else the environment's, else what the code says, with both clients."""
    engine = FakeEngine(*(answer() for _ in range(6)))
    for name in (None, "billing", ""):
        if name is not None:
            monkeypatch.setenv("ATOMIC_CLIENT", name)
        await client(engine).submit(**POST)
    monkeypatch.setenv("ATOMIC_CLIENT", "billing")
    script(engine).submit(**POST)
    await client(engine).submit(**POST, client="shop")
    script(engine).submit(**POST, client="shop")
    paths = [request.url.path for request in engine.requests]
    assert paths == ["/default", "/billing", "/default", "/billing", "/shop", "/shop"]
    monkeypatch.setenv("ATOMIC_CLIENT", "no/name")
    with pytest.raises(ValueError, match="is not a client name"):
        await client(engine).submit(**POST)


async def test_a_step_is_of_the_client_whose_run_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the call says, whatever the environment does; else the environment's."""
    monkeypatch.setenv("ATOMIC_CLIENT", "billing")
    called = {"ATOMIC-PARENT": "p-1", "atomic-client": "shop"}
    atomic = client(FakeEngine())
    assert atomic.workflow("w", key="k", headers=called).client == "shop"
    assert atomic.workflow("w", key="k", headers=called, client="other").client == "other"
    assert atomic.workflow("w", key="k", headers={"Atomic-Parent": "p-1"}).client == "billing"
    assert atomic.workflow("w", key="k", parent="p-1").client == "billing"


async def test_the_token(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """Of the file that the environment names, unless the code names another, or none."""
    monkeypatch.setenv("ATOMIC_TOKEN_FILE", str(file))
    other = file.with_name("other")
    other.write_text("atomic_two")
    engine = FakeEngine(*(answer() for _ in range(4)))
    await client(engine).submit(**POST)
    script(engine).submit(**POST)
    await client(engine, token_file=other).submit(**POST)
    await client(engine, token_file="").submit(**POST)
    sent = [request.headers.get("authorization") for request in engine.requests]
    assert sent == ["Bearer atomic_one"] * 2 + ["Bearer atomic_two", None]
    file.unlink()
    with pytest.raises(ValueError, match=r"the token file .* cannot be read"):
        AsyncClient()


async def test_a_token_in_a_variable_is_not_read(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    """Who is asked for one, and has it there, is told why and what to do; never what it is."""
    monkeypatch.setenv("ATOMIC_TOKEN", "atomic_of_a_variable")

    async def told(status: Any = Problem.UNAUTHORIZED) -> str:
        engine = FakeEngine(refusal(status, "This engine asks for a token."))
        with pytest.raises(Refused) as refused:
            await client(engine).submit(**POST)
        assert "atomic_of" not in f"{refused.value!r} {refused.value} {engine.requests[0].headers}"
        return str(refused.value)

    assert (await told()).endswith(
        "(401 unauthorized). The variable ATOMIC_TOKEN is not read: variables are seen by other"
        " programs, and end in reports of crashes. Write the token into a file, and name that in"
        " ATOMIC_TOKEN_FILE"
    )
    assert (await told(Problem.FORBIDDEN)).endswith("(403 forbidden)")
    monkeypatch.setenv("ATOMIC_TOKEN_FILE", str(file))
    assert (await told()).endswith("(401 unauthorized)")


def test_no_token_is_shown(file: Path) -> None:
    """By what a client, its parts or their errors say of themselves."""
    atomic = AsyncClient(token_file=file)
    assert "atomic_one" not in f"{atomic!r} {vars(atomic)} {vars(atomic._exchange)}"
