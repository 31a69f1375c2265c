"""The listening socket of the application."""

import asyncio
import socket
import struct

import pytest

from demo_app.listener import Listener
from tests.on_asyncio import on_asyncio


@on_asyncio
async def test_accepted_connections_send_at_once_and_can_be_cut() -> None:
    """Small answers do not wait for acknowledgements; a cut connection ends for its peer."""
    accepted = asyncio.get_running_loop().create_future()
    with Listener("127.0.0.1", 0) as listener:
        server = await asyncio.start_server(
            lambda reader, writer: accepted.set_result((reader, writer)), sock=listener
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        _, theirs = await accepted
        connection = theirs.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        listener.drop(writer.get_extra_info("sockname"))
        assert await reader.read() == b""
        with pytest.raises(KeyError):
            listener.drop(("127.0.0.1", 1))
        for open_writer in (writer, theirs):
            open_writer.close()
        server.close()


def test_a_peer_that_has_left_is_cut_off_already() -> None:
    """It hung up while its request was at work: cutting its connection is no error."""
    with Listener("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(("127.0.0.1", listener.port)) as peer:
            listener.setblocking(True)
            theirs, address = listener.accept()
            at_once = struct.pack("ii", 1, 0)  # a reset, as of a process that was killed
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        with theirs:
            with pytest.raises(ConnectionResetError):
                theirs.recv(1)
            listener.drop(address)
