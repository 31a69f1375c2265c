"""An endpoint that answers 200 after a while, on asyncio: what an engine calls where nothing but its
own times are measured."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def serve(takes_s: float, called: Callable[[], None] = lambda: None) -> asyncio.Server:
    """Serve on a free port of loopback; each request is answered after so long."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                await reader.readexactly(int(length))
                called()
                await asyncio.sleep(takes_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", 0)
