"""What may be dialled: URLs, names, addresses, and TLS."""

from __future__ import annotations

import errno
import os
import ssl
import threading
from datetime import UTC, datetime
from ipaddress import ip_address
from socket import AF_INET, SOCK_STREAM, gaierror, socket
from typing import Any

import httpx
import pytest
import trio
import trustme

from engine.call import dial
from engine.call import names as resolve
from engine.call.address import is_never_dialled, judged_address, literal_address, loopback_only
from engine.call.dial import Dialler, DnsError, NoDescriptor, TargetNotAllowed, called_url
from engine.call.names import SystemResolver
from engine.http.tls import TlsError, default_ssl_context
from tests.call.scripted_server import (
    OK,
    Peer,
    always_ok,
    answering,
    fixed_resolver,
    lean,
    post,
    serving,
)
from tests.loopback import free_port


@pytest.mark.parametrize(
    ("url", "host_header", "path"),
    [
        ("http://App:9000/a/b?x=1&y", b"app:9000", b"/a/b?x=1&y"),
        ("http://app:80", b"app", b"/"),
        ("https://app/", b"app", b"/"),
        ("https://app:80/", b"app:80", b"/"),
        ("http://[::1]:9/x", b"[::1]:9", b"/x"),
    ],
)
def test_urls_are_taken_apart(url: str, host_header: bytes, path: bytes) -> None:
    """Host in lower case, default ports left out, the query kept."""
    target = called_url(url)
    assert target.post_start == b"POST " + path + b" HTTP/1.1\r\nHost: " + host_header + b"\r\n"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "http:///x",
        "//a/x",
        "http://a:0/",
        "http://a:99999/",
        "http://a:x/",
        "http://u:p@a/",
        "http://@a/",
        "http://a/#f",
        "http://a/#",
        "http://a/ b",
        "http://a/\r\nX: y",
        "http://a/\tb",
        "http://ä/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://a%00b/",
        "http://a\\b/",
        "http://a/" + "x" * 2048,
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    """Nothing that could name another host, or smuggle a line into the request, is dialled."""
    with pytest.raises(TargetNotAllowed):
        called_url(url)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.255.1.2", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("8.8.8.8", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
        ("224.0.0.1", False),
    ],
)
def test_the_default_policy_is_loopback(address: str, allowed: bool) -> None:
    """127.0.0.0/8 and ::1, also when IPv6 maps them; no other wrapping counts."""
    assert loopback_only(judged_address(ip_address(address))) is allowed


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fe80::1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ],
)
async def test_metadata_is_never_dialled(address: str) -> None:
    """Not even under a policy that allows everything, and in no wrapping."""
    assert is_never_dialled(judged_address(ip_address(address)))
    dialler = Dialler(allowed=lambda _ip: True, resolve=fixed_resolver(address))
    with pytest.raises(TargetNotAllowed):
        await dialler.connect(called_url("http://app/"))


def test_only_canonical_forms_are_literals() -> None:
    """What `getaddrinfo` also takes for an address is a name here, and its answer is judged."""
    assert literal_address("127.0.0.1") == ip_address("127.0.0.1")
    assert literal_address("::1") == ip_address("::1")
    for name in ("127.1", "0x7f.1", "2130706433", "127.0.0.01", "0:0:0:0:0:0:0:1", "localhost"):
        assert literal_address(name) is None


async def test_ipv6_literal() -> None:
    """`http://[::1]:port/` is dialled without a look-up, Host in brackets."""
    async with serving(always_ok, bind="::1") as server:
        async with lean(Dialler(resolve=fixed_resolver())) as transport:
            assert (await post(transport, server)).body == b"ok"
    assert b"\r\nHost: [::1]:%d\r\n" % server.port in server.requests[0]


async def test_a_name_is_dialled_at_its_checked_address() -> None:
    """The second address is tried when the first refuses; Host stays the URL's."""
    async with serving(always_ok, url_host="app.test") as server:
        async with lean(Dialler(resolve=fixed_resolver("::1", "127.0.0.1"))) as transport:
            assert (await post(transport, server)).body == b"ok"
    assert b"\r\nHost: app.test:%d\r\n" % server.port in server.requests[0]


@pytest.mark.parametrize(
    "addresses", [("10.0.0.1",), ("127.0.0.1", "10.0.0.1"), ("10.0.0.1", "127.0.0.1")]
)
async def test_every_address_must_pass(addresses: tuple[str, ...]) -> None:
    """One address out of bounds refuses the call, and none is dialled."""
    async with serving(always_ok, url_host="app.test") as server:
        async with lean(Dialler(resolve=fixed_resolver(*addresses))) as transport:
            with pytest.raises(TargetNotAllowed, match=r"10\.0\.0\.1"):
                await post(transport, server)
    assert server.connections == 0


async def test_a_name_that_flips_is_refused() -> None:
    """Each new connection is checked anew: an allowed name that turns elsewhere is refused."""
    answers = [["127.0.0.1"], ["192.168.0.1"]]

    async def resolve(host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return answers.pop(0)

    async with serving(answering(OK), url_host="app.test") as server:
        async with lean(Dialler(resolve=resolve)) as transport:
            await post(transport, server)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(TargetNotAllowed):
                await post(transport, server)


async def test_a_hundred_addresses_are_not_all_tried() -> None:
    """All are checked, only the first few are dialled."""
    many = [f"127.0.1.{n}" for n in range(1, 101)]
    async with serving(always_ok, url_host="app.test") as server:
        async with lean(Dialler(resolve=fixed_resolver(*many, "127.0.0.1"))) as transport:
            with pytest.raises(httpx.ConnectError, match="no connection"):
                await post(transport, server)


async def test_a_connection_to_itself_is_none() -> None:
    """TCP may connect a free port to itself; that is reported as refused, and the port is freed."""
    port = free_port()

    class BoundFirst(socket):
        """As if the system had picked this very port for our side."""

        def connect(self, address: Any) -> None:
            self.bind(("127.0.0.1", port))
            super().connect(address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dial, "socket", BoundFirst)
        with pytest.raises(httpx.ConnectError, match="nobody listens"):
            await Dialler().connect(called_url(f"http://127.0.0.1:{port}/"))
    with socket(AF_INET, SOCK_STREAM) as application:
        application.bind(("127.0.0.1", port))


async def test_dns_failures() -> None:
    """NXDOMAIN, no address, and a name that no resolver takes are one error."""

    async def nxdomain(host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        raise gaierror(-2, "Name or service not known")

    target = called_url("http://app.test/")
    with pytest.raises(DnsError, match="not known"):
        await Dialler(resolve=nxdomain).connect(target)
    with pytest.raises(DnsError, match="no address"):
        await Dialler(resolve=fixed_resolver()).connect(target)
    with pytest.raises(DnsError):
        await Dialler().connect(called_url("http://" + "a" * 70 + ".test/"))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_a_connection_for_which_the_engine_has_no_descriptor(number: int) -> None:
    """Not the other side's refusal, whichever step of the dialling meets it."""

    class NoSocket(socket):
        def __init__(self, *arguments: Any) -> None:
            raise OSError(number, os.strerror(number))

    async def no_look_up(host: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dial, "socket", NoSocket)
        with pytest.raises(NoDescriptor, match=f"no connection: {os.strerror(number).lower()}"):
            await Dialler().connect(called_url("http://127.0.0.1:9/"))
    with pytest.raises(NoDescriptor, match="no look-up of the name"):
        await Dialler(resolve=no_look_up).connect(called_url("http://app.test/"))


async def test_the_systems_resolver() -> None:
    """localhost is resolved by the system and reached."""
    async with serving(always_ok, url_host="localhost") as server, lean() as transport:
        assert (await post(transport, server)).body == b"ok"


async def test_slow_dns_blocks_no_other_host() -> None:
    """Look-ups that hang hold their host's places only; cancelled calls end at once."""
    release, started = threading.Event(), trio.Semaphore(0)
    waited_for: list[str] = []
    token = trio.lowlevel.current_trio_token()

    def lookup(host: str) -> list[str]:
        if host == "slow.test":
            token.run_sync_soon(started.release)
            if not release.wait(5):
                waited_for.append(host)
        return ["127.0.0.1"]

    resolver = SystemResolver(lookup)
    async with serving(always_ok, url_host="app.test") as server:
        async with lean(Dialler(resolve=resolver)) as transport:
            try:
                async with trio.open_nursery() as nursery:
                    for _ in range(100):
                        nursery.start_soon(resolver, "slow.test")
                    for _ in range(resolve.LOOKUPS_PER_HOST_MAX):
                        await started.acquire()
                    assert (await post(transport, server)).body == b"ok"
                    nursery.cancel_scope.cancel()
                # The abandoned threads still hold their places: no more of them are made.
                assert resolver._hosts["slow.test"].available_tokens == 0
                assert waited_for == []
            finally:
                release.set()


async def test_a_look_up_cancelled_in_the_queue_gives_its_place_back() -> None:
    """Cancelled while all places are taken: the host's own place is free again."""
    host, everyone = trio.CapacityLimiter(1), trio.CapacityLimiter(1)
    places = resolve._HostPlaces(host, everyone)
    async with everyone:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(places.acquire_on_behalf_of, "a look-up")
            await trio.testing.wait_all_tasks_blocked()
            assert host.borrowed_tokens == 1
            nursery.cancel_scope.cancel()
        assert host.borrowed_tokens == 0
    await places.acquire_on_behalf_of("another")
    assert (host.borrowed_tokens, everyone.borrowed_tokens) == (1, 1)
    places.release_on_behalf_of("another")
    assert (host.borrowed_tokens, everyone.borrowed_tokens) == (0, 0)


async def test_proxy_variables_have_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment re-routes nothing."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(always_ok) as server, lean() as transport:
        assert (await post(transport, server)).body == b"ok"


# --- TLS -------------------------------------------------------------------------------------

CA = trustme.CA()


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """A server's side."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    certificate.configure_cert(context)
    return context


def trusting_dialler() -> Dialler:
    """Verifies as in production, but trusts the test's authority; all names are loopback."""
    context = default_ssl_context()
    CA.configure_trust(context)
    return Dialler(resolve=fixed_resolver("127.0.0.1"), ssl_context=context)


@pytest.mark.parametrize("host", ["app.test", "127.0.0.1"])
async def test_tls(host: str) -> None:
    """A trusted certificate of the URL's host: calls go through and share a connection."""
    tls = server_context(CA.issue_cert(host))
    async with serving(always_ok, tls=tls, url_host=host) as server:
        async with lean(trusting_dialler()) as transport:
            for body in (b"{}", b"x" * 1_000_000):
                assert (await post(transport, server, body)).body == b"ok"
            assert server.connections == 1


BAD_CERTIFICATES = {
    "expired": lambda: CA.issue_cert("app.test", not_after=datetime(2020, 1, 1, tzinfo=UTC)),
    "wrong name": lambda: CA.issue_cert("other.test"),
    "self-signed": lambda: trustme.CA().issue_cert("app.test"),
}


@pytest.mark.parametrize("case", BAD_CERTIFICATES)
async def test_bad_certificates(case: str) -> None:
    """Refused before a byte of the request is sent; the reason is named."""
    tls = server_context(BAD_CERTIFICATES[case]())
    async with serving(always_ok, tls=tls, url_host="app.test") as server:
        async with lean(trusting_dialler()) as transport:
            with pytest.raises(TlsError, match="certificate refused"):
                await post(transport, server)
    assert server.requests == []


@pytest.mark.parametrize("speak", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_no_tls_on_the_port(speak: bytes) -> None:
    """Plain HTTP, or a close, where TLS should be."""

    async def script(peer: Peer) -> None:
        await peer.stream.receive_some()
        await peer.stream.send_all(speak)

    async with serving(script, scheme="https") as server, lean(trusting_dialler()) as transport:
        with pytest.raises(TlsError):
            await post(transport, server)


async def test_a_stalled_handshake_ends_by_cancelling() -> None:
    """A peer that says nothing is left as soon as the caller cancels."""
    greeted, closed = trio.Event(), trio.Event()

    async def script(peer: Peer) -> None:
        await peer.stream.receive_some()
        greeted.set()
        await peer.wait_closed()
        closed.set()

    async with serving(script, scheme="https") as server, lean(trusting_dialler()) as transport:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server)
            await greeted.wait()
            nursery.cancel_scope.cancel()
        await closed.wait()


async def test_two_answers_over_tls() -> None:
    """A second answer that lies undecrypted behind the first is noticed: no reuse."""

    async def script(peer: Peer) -> None:
        assert isinstance(peer.stream, trio.SSLStream)
        transport_stream = peer.stream.transport_stream
        held: list[bytes] = []
        await peer.read_request()
        original = transport_stream.send_all

        async def hold(data: bytes) -> None:
            held.append(bytes(data))

        transport_stream.send_all = hold
        await peer.stream.send_all(OK)
        await peer.stream.send_all(OK.replace(b"ok", b"no"))
        await original(b"".join(held))  # two TLS records in one segment
        transport_stream.send_all = original
        await peer.wait_closed()

    tls = server_context(CA.issue_cert("app.test"))
    async with serving(script, tls=tls, url_host="app.test") as server:
        async with lean(trusting_dialler()) as transport:
            for _ in range(2):
                assert (await post(transport, server)).body == b"ok"
            assert server.connections == 2


async def test_a_tls_connection_cut_off_ends_no_body() -> None:
    """Without close_notify, a body that goes to the end is an answer cut short (RFC 9112 §9.8)."""
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

    async def cut(peer: Peer) -> None:
        await peer.answer(head + b"part")

    async def whole(peer: Peer) -> None:
        await peer.answer(head + b"whole")
        await peer.stream.aclose()

    tls = server_context(CA.issue_cert("app.test"))
    async with lean(trusting_dialler()) as transport:
        async with serving(cut, tls=tls, url_host="app.test") as server:
            with pytest.raises(httpx.RemoteProtocolError, match="cut short"):
                await post(transport, server)
        async with serving(whole, tls=tls, url_host="app.test") as server:
            assert (await post(transport, server)).body == b"whole"
