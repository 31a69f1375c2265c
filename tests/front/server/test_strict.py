"""The reader behind the server: a verdict must not depend on how the bytes were cut."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.front.server.strict import BadRequest, Phase, RequestReader, ServerLimits
from tests.front.raw_http import get, post
from tests.front.server.strict_requests import GOOD, LIMITS, REFUSED

BEHIND = get("/second")


def read(pieces: list[bytes], limits: ServerLimits = LIMITS) -> tuple[int, bytes]:
    """(0, what was handed out) of a request that became whole, or (status, b'') of a refusal."""
    reader = RequestReader(limits)
    out = b""
    for piece in pieces:
        reader.receive(piece)
        try:
            out += reader.take()
        except BadRequest as refusal:
            return refusal.status, b""
    assert reader.phase is Phase.DONE
    return 0, out


@pytest.mark.parametrize("name", REFUSED)
def test_refused_byte_by_byte(name: str) -> None:
    """What is refused in one piece is refused with the same status when it drips."""
    status, raw = REFUSED[name]
    raw += BEHIND
    assert read([raw]) == (status, b"")
    assert read([raw[i : i + 1] for i in range(len(raw))]) == (status, b"")


@pytest.mark.parametrize("name", GOOD)
def test_accepted_byte_by_byte(name: str) -> None:
    """Exactly the request's own bytes are handed out, none of the next one."""
    raw, _ = GOOD[name]
    assert read([raw + BEHIND]) == (0, raw)
    assert read([(raw + BEHIND)[i : i + 1] for i in range(len(raw + BEHIND))]) == (0, raw)


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET /fine HTTP/1.1\nHost: a\n\n",
        b"GET /fine\r\n",
        b"GET /fine HTTP/2.0\r\n",
        b"\x16\x03\x01",
        b"G" * 1025,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 255,
    ],
)
def test_refused_at_once(beginning: bytes) -> None:
    """What no further byte can mend is refused without waiting for a time-out."""
    status, _ = read([beginning])
    assert status in {400, 431, 505}


REQUESTS = st.sampled_from([raw for raw, _ in GOOD.values()])


@given(st.lists(REQUESTS, min_size=1, max_size=4), st.lists(st.integers(1, 200), max_size=30))
def test_any_cut(requests: list[bytes], sizes: list[int]) -> None:
    """Requests in a row come out whole, one for each `next_request`, however they were cut."""
    wire = b"".join(requests)
    reader = RequestReader(LIMITS)
    out = [b""]
    while wire or reader.phase is Phase.DONE:
        size = sizes.pop() if sizes else len(wire)
        reader.receive(wire[:size])
        wire = wire[size:]
        out[-1] += reader.take()
        while reader.phase is Phase.DONE:
            reader.next_request()
            out.append(reader.take())
    assert out == [*requests, b""]


@given(st.binary(max_size=300), st.lists(st.integers(1, 100), max_size=10))
def test_any_bytes(noise: bytes, sizes: list[int]) -> None:
    """No bytes raise anything but a refusal, and what is handed out is what came in."""
    wire = post("/echo", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + noise
    reader = RequestReader(LIMITS)
    out, rest = b"", wire
    with suppress(BadRequest):
        while rest:
            size = sizes.pop() if sizes else len(rest)
            reader.receive(rest[:size])
            rest = rest[size:]
            out += reader.take()
    assert wire.startswith(out)


def test_chunk_framing_is_bounded() -> None:
    """Long lines around tiny chunks end long before they have sent a multiple of the limit."""
    reader = RequestReader(LIMITS)
    reader.receive(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    reader.take()
    reader.receive((b"1;" + b"x" * 200 + b"\r\na\r\n") * 99)
    with pytest.raises(BadRequest, match="framing"):
        reader.take()


def test_long_value_is_read_in_linear_time() -> None:
    """White space without end around a value does not make a pattern backtrack."""
    limits = ServerLimits()
    spaces = " " * 15_000
    status, _ = read([get("/fine", f"Expect: a{spaces}b{spaces[:300]}")], limits)
    assert status == 417
