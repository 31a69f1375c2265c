"""A small HTTP/1.1 client and server on asyncio, for what the load generator does not do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Connection:
    """A kept-alive connection to loopback; one request at a time, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def request(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in small letters) and body. Raises OSError or EOFError."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            raw = (body or "").encode()
            lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(raw)}"]
            if body is not None:
                lines.append("Content-Type: application/json")
            lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
            self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
            return await self._answer()
        except BaseException:
            self.close()
            raise

    async def _answer(self) -> tuple[int, dict[str, str], bytes]:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        text = b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self._reader.readline()).split(b";")[0], 16):
                text += await self._reader.readexactly(size)
                await self._reader.readline()
            await self._reader.readline()
        else:
            text = await self._reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(head[0].split()[1]), headers, text

    async def get(self, path: str) -> Any:
        """The JSON at this path."""
        return json.loads((await self.request("GET", path))[2])

    def close(self) -> None:
        """Close it; the next request opens it anew."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


class Arrivals(dict[str, list[float]]):
    """When requests came, by path; seconds since the epoch."""


@asynccontextmanager
async def failing_endpoint(port: int, status: int = 500) -> AsyncIterator[Arrivals]:
    """An endpoint that answers every request at once with this status, and notes when they came."""
    arrivals = Arrivals()
    reply = f"HTTP/1.1 {status} Failed\r\nContent-Length: 0\r\n\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                arrivals.setdefault(head.split(b" ", 2)[1].decode(), []).append(time.time())
                lower = head.lower()
                if (at := lower.find(b"content-length:")) >= 0:
                    await reader.readexactly(int(lower[at + 15 : lower.index(b"\r\n", at)]))
                writer.write(reply)
        except (EOFError, OSError, asyncio.CancelledError):  # cancelled: the bench is over
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096)
    try:
        yield arrivals
    finally:
        server.close()


async def ready(port: int, limit_s: float = 300) -> float:
    """Wait for /readyz to answer 200; returns when it did, seconds since the epoch."""
    connection, end = Connection(port), time.time() + limit_s
    while True:
        try:
            if (await connection.request("GET", "/readyz"))[0] == 200:
                connection.close()
                return time.time()
        except (OSError, EOFError):
            pass
        if time.time() > end:
            raise TimeoutError("the engine is not ready")
        await asyncio.sleep(0.01)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed; 0.0 of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] if ranked else 0.0
