"""Any bytes at all, in any pieces, are an answer or one of the transport's errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import httpx
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.call.dial import SocketWire
from engine.call.transport import read_answer

FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 500 X\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Content-Encoding: gzip\r\n",
        b"X: y\r\n",
        b"\r\n",
        b"\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
    ]
)
STREAMS = st.lists(FRAGMENTS | st.binary(max_size=4), max_size=12).map(
    lambda parts: b"".join([b"HTTP/1.1 200 OK\r\n", *parts])
)


class FedWire:
    """Gives the pieces, then the end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def receive(self) -> bytes:
        return next(self._pieces, b"")


def read(pieces: Iterable[bytes]) -> object:
    """Status and body, or the kind of error."""
    wire = cast(SocketWire, FedWire(pieces))
    try:
        answer = trio.run(read_answer, wire, 1000, 100)
    except httpx.TransportError as error:
        return type(error)
    return answer.status, answer.body


@given(STREAMS | st.binary(max_size=60), st.integers(1, 7))
def test_any_bytes_in_any_pieces(data: bytes, piece_bytes: int) -> None:
    """Nothing but httpx's errors comes out, and how the bytes were split changes nothing."""
    split = [data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes)]
    assert read([data] if data else []) == read(split)
