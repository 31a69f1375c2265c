"""The client over TLS: whose certificates are trusted, and when a connection is used again."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import trustme

from engine.client import AsyncClient, Client
from tests.client.raw_server import OK, WAYS, Peer, always, serving, way_of

CA = trustme.CA()


def refuse(request: httpx.Request) -> httpx.Response:
    """Nobody is there."""
    raise httpx.ConnectError("refused", request=request)


def side(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_systems_certificates(
    name: str, host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """SSL_CERT_FILE says where others lie; calls share a connection, large ones too."""
    trusted = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(trusted))
    with serving(always(), tls=side(CA.issue_cert(host)), host=host) as server:
        with way_of(name) as way, pytest.raises(httpx.ConnectError, match="certificate refused"):
            way.post(server)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        with way_of(name) as way:
            connections = server.connections
            for body in (b"{}", b"x" * 1_000_000):
                assert way.post(server, body).content == b"ok"
            assert server.connections == connections + 1


@pytest.mark.parametrize("name", WAYS)
def test_verify(name: str):
    """A context of one's own, or none of it."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    expired = CA.issue_cert("localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    for certificate, verify, passes in (
        (CA.issue_cert("localhost"), context, True),
        (CA.issue_cert("other.test"), context, False),
        (expired, context, False),
        (expired, False, True),
    ):
        with serving(always(), tls=side(certificate), host="localhost") as server:
            with way_of(name, verify) as way:
                if passes:
                    assert way.post(server).content == b"ok"
                else:
                    with pytest.raises(httpx.ConnectError, match="certificate refused"):
                        way.post(server)


def test_verify_is_for_the_clients_own_connections():
    """Who brings an httpx client has told it already."""
    with pytest.raises(ValueError, match="`http`"):
        AsyncClient(http=httpx.AsyncClient(transport=httpx.MockTransport(refuse)), verify=False)
    with httpx.Client(transport=httpx.MockTransport(refuse)) as http:
        with pytest.raises(ValueError, match="`http`"):
            Client(http=http, verify=False)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("speak", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_no_tls_on_the_port(name: str, speak: bytes):
    """Plain HTTP, or a close, where TLS should be: nothing was sent, a ConnectError."""

    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.sock.sendall(speak)

    with serving(script) as server, way_of(name) as way:
        with pytest.raises(httpx.ConnectError):
            way.request("GET", server.url.replace("http:", "https:"))


@pytest.mark.parametrize("name", WAYS)
def test_a_handshake_that_stands_still(name: str):
    """Is a ConnectTimeout."""
    with serving(Peer.wait_closed) as server, way_of(name) as way:
        url = server.url.replace("http:", "https:")
        with pytest.raises(httpx.ConnectTimeout):
            way.request("GET", url, timeout=httpx.Timeout(5, connect=0.05))


@pytest.mark.parametrize("name", WAYS)
def test_a_cut_within_an_answer_may_have_done_something(name: str):
    """Without close_notify a body to the end is cut short: a ReadError and no ConnectError, which
    would say that nothing was sent."""

    def script(peer: Peer) -> None:
        peer.answer(b"HTTP/1.1 200 OK\r\n\r\npart")

    with serving(script, tls=side(CA.issue_cert("localhost")), host="localhost") as server:
        with way_of(name, False) as way, pytest.raises(httpx.ReadError):
            way.post(server)


@pytest.mark.parametrize("name", WAYS)
def test_garbage_within_the_connection(name: str):
    """What is no TLS record in the place of an answer is a ReadError."""

    def script(peer: Peer) -> None:
        peer.read_request()
        assert isinstance(peer.sock, ssl.SSLSocket)
        os.write(peer.sock.fileno(), b"\x17\x03\x03\x00\x20" + b"garbage" * 10)
        peer.wait_closed()

    with serving(script, tls=side(CA.issue_cert("localhost")), host="localhost") as server:
        with way_of(name, False) as way, pytest.raises(httpx.ReadError):
            way.post(server)


@pytest.mark.parametrize("name", WAYS)
def test_more_behind_an_answer(name: str):
    """A second answer in the same flight is noticed: no reuse."""
    with serving(always(OK + OK), tls=side(CA.issue_cert("localhost")), host="localhost") as server:
        with way_of(name, False) as way:
            for _ in range(2):
                assert way.post(server).content == b"ok"
            assert server.connections == 2
