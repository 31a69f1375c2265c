"""Ends TLS before the engine: tls_proxy.py PORT ENGINE_PORT FOLDER, with FOLDER/server.pem."""

from __future__ import annotations

import asyncio
import ssl
import sys

import uvloop


class Side(asyncio.Protocol):
    """One side of a connection: what comes goes to the other."""

    def __init__(self, engine_port: int | None) -> None:
        self._engine_port = engine_port
        self._early: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        if self._engine_port is not None:
            asyncio.get_running_loop().create_task(self._connect(self._engine_port))

    async def _connect(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        _, self.other = await loop.create_connection(lambda: Side(None), "127.0.0.1", port)
        self.other.other = self
        for data in self._early:
            self.other.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


async def main(port: int, engine_port: int, folder: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem")
    server = await asyncio.get_running_loop().create_server(
        lambda: Side(engine_port), "127.0.0.1", port, backlog=4096, ssl=context
    )
    await server.serve_forever()


uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
