"""The token that a client sends: from a file, and from the file again when that is another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.client import AsyncClient, Client, Refused, Reposts
from engine.client.bearer import BYTES_MAX
from engine.wire import Problem
from tests.client.fake_engine import OUTCOME, FakeEngine, answer, client, refusal, script

ARGUMENTS: Any = {"workflow": "w", "client": "shop", "url": "http://app/index", "key": "k"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("atomic_one\natomic_old\n")
    return path


def no_token() -> httpx.Response:
    refused: httpx.Response = refusal(
        Problem.UNAUTHORIZED, "The token is not one of this engine's."
    )
    return refused


def sent(engine: FakeEngine) -> list[str | None]:
    return [request.headers.get("authorization") for request in engine.requests]


async def test_each_request_carries_the_first_token_of_the_file(file: Path) -> None:
    """Both clients, posts and looks and the event stream; without a file nothing is sent."""
    engine = FakeEngine(*(answer(each) for each in (OUTCOME, {}, OUTCOME, {})))
    async with client(engine, token_file=file) as atomic:
        await atomic.submit(**ARGUMENTS)
        await atomic.operate.status()
    with script(engine, token_file=str(file)) as blocking:
        blocking.submit(**ARGUMENTS)
        blocking.operate.status()
    assert sent(engine) == ["Bearer atomic_one"] * 4
    bare = FakeEngine(answer())
    await client(bare).submit(**ARGUMENTS)
    assert sent(bare) == [None]


async def test_a_rotated_token_is_read_when_the_old_one_is_refused(file: Path) -> None:
    """The call is made once more with it, at once; with the same token it is not made again."""
    engine = FakeEngine(no_token(), no_token(), answer())
    atomic = client(engine, token_file=file)
    with pytest.raises(Refused, match="not one of this engine's"):
        await atomic.submit(**ARGUMENTS)
    file.write_text("atomic_two\n")
    assert (await atomic.submit(**ARGUMENTS)).id == OUTCOME["id"]
    assert sent(engine) == ["Bearer atomic_one"] * 2 + ["Bearer atomic_two"]


async def test_calls_at_once_all_ask_with_the_rotated_token(file: Path) -> None:
    """One of them has read the file when the next is refused: that one asks with it too."""

    def meanwhile(request: httpx.Request) -> httpx.Response:
        file.write_text("atomic_two\n")
        assert token is not None
        assert token.has_another(request.headers), "as another call does"
        return no_token()

    engine = FakeEngine(meanwhile, answer())
    atomic = client(engine, token_file=file)
    token = atomic._exchange._token
    assert (await atomic.submit(**ARGUMENTS)).id == OUTCOME["id"]
    assert sent(engine) == ["Bearer atomic_one", "Bearer atomic_two"]


async def test_a_file_that_is_being_written_ends_nothing(file: Path) -> None:
    """What the engine said counts, until there is a token again."""
    engine = FakeEngine(no_token(), answer())
    atomic = client(engine, token_file=file)
    file.write_text("")
    with pytest.raises(Refused):
        await atomic.submit(**ARGUMENTS)
    file.write_text("atomic_one")
    await atomic.submit(**ARGUMENTS)


async def test_the_event_stream_reads_it_again_too(file: Path) -> None:
    """On its way to a stream that is refused with the old token."""
    beat = (
        b'event: heartbeat\nid: f-1\ndata: {"serverTime":"t","sequence":"f-1","instance":"i"}\n\n'
    )
    stream = httpx.Response(200, content=beat, headers={"content-type": "text/event-stream"})

    def rotated(request: httpx.Request) -> Any:
        file.write_text("atomic_two")
        return no_token()

    engine = FakeEngine(rotated, stream)
    atomic = client(engine, token_file=file, reposts=Reposts(back_off_s=0.0))
    async with atomic.operate.events() as events:
        assert (await anext(events)).id == "f-1"
    assert sent(engine) == ["Bearer atomic_one", "Bearer atomic_two"]


@pytest.mark.parametrize("kind", [AsyncClient, Client])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"", "does not begin with a token"),
        (b"two words\n", None),
        (b"\xff\xfe", "does not begin with a token"),
        (b"\n" * BYTES_MAX + b"atomic_one", "does not begin with a token"),
    ],
)
def test_what_is_no_token_file_is_told_at_once(
    tmp_path: Path, kind: Any, content: bytes | None, words: str | None
) -> None:
    """By its name, and without what is in it."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    if words is None:
        kind("http://engine", token_file=path)
        return
    with pytest.raises(ValueError, match=words) as caught:
        kind("http://engine", token_file=path)
    assert str(path) in str(caught.value)
