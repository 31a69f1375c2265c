"""What a client may have called: its list, and the addresses that its targets may have."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from socket import socket

import pytest
import trio
import trustme

from engine.call import dial
from engine.call.address import IPAddress, Place, is_own, judged_address, place_of
from engine.call.caller import HttpCaller
from engine.call.dial import Dialler
from engine.call.policy import CallPolicy, Policies
from engine.call.transport import LeanTransport
from engine.core.access.client import Client, ClientLimits
from engine.core.outcome import Answered, CallError, Outcome, Unanswered
from tests.call.scripted_server import always_ok, fixed_resolver, invocation, serving

ENGINE_PORT = 8420
TARGETS = (
    "http://app:9000/",
    "http://app:8420/",
    "https://api.example.com/hooks",
    "http://intern.example.com/",
    "http://metadata.example.com/",
    "http://many.example.com/",
    "http://10.0.0.5:9000/",
    "http://127.0.0.1:9000/",
    "http://127.0.0.1:8420/",
    "http://169.254.169.254/",
    "http://0.0.0.0/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://[fd00::5]:9000/",
    "http://[::1]:9000/",
    "http://[::]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[::7f00:1]/",
    "http://[ff02::1]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
)
NAMES = {
    "app": ["10.0.0.7"],
    "api.example.com": ["1.1.1.1"],
    "intern.example.com": ["10.0.0.8"],
    "metadata.example.com": ["169.254.169.254"],
    "many.example.com": ["1.1.1.1", "127.0.0.1"],
}
"""What the resolver answers; for any other name, as for `127.1`, it is loopback."""
CALLED = {
    "http://app:9000/": "10.0.0.7",
    "http://APP:9000/x/y?z=1": "10.0.0.7",
    "http://app:9000/../x": "10.0.0.7",
    "http://app:09000/x:1": "10.0.0.7",
    "https://api.example.com/hooks": "1.1.1.1",
    "https://api.example.com:443/hooks/x": "1.1.1.1",
    "http://10.0.0.5:9000/x": "10.0.0.5",
    "http://127.0.0.1:9000/x": "127.0.0.1",
    "http://[fd00::5]:9000/x": "fd00::5",
    "http://[::1]:9000/x": "::1",
}
"""URLs that may be called, and the address that is dialled."""
REFUSED = (
    # -- another scheme, user name, fragment, or what is no URL
    "https://app:9000/", "ftp://app:9000/", "file:///etc/passwd", "gopher://app:9000/_x",
    "javascript:alert(1)", "//app:9000/", "app:9000", "http://app:9000@evil.example/",
    "http://evil.example@app:9000/", "http://app:9000#@evil.example/",
    "http://app:9000\\@evil.example/", "http://evil.example\\.app:9000/",
    "http://app:9000%2f@evil.example/", "http://app%3a9000/", "http://app%2eevil.example/",
    "http://a\u200dpp:9000/", "http://app:9000/ x", "http://app:9000/\r\nHost: evil.example",
    "http://①②⑦.⓪.⓪.①:9000/", "http://app。:9000/",
    # -- another host or port
    "http://evil.example/", "http://app:9001/", "http://app:900/", "http://app/",
    "http://app.:9000/", "http://app.evil.example:9000/", "http://evil.app:9000/",
    "http://xapp:9000/", "http://xn--app-abc:9000/",
    "https://api.example.com.evil.example/hooks", "http://localhost:9000/",
    # -- another path
    "https://api.example.com/", "https://api.example.com/hooksy",
    "https://api.example.com/hooks/../admin", "https://api.example.com/hooks/%2e%2e/admin",
    "https://api.example.com/hooks/..%2fadmin", "https://api.example.com/hooks/..;/admin",
    "https://api.example.com/hooks/%252e%252e/admin",
    "https://api.example.com/hooks%2f..%2fadmin", "https://api.example.com/hooks/..%5cadmin",
    # -- loopback, written otherwise
    "http://127.1:9000/", "http://127.0.1:9000/", "http://0177.0.0.1:9000/",
    "http://0x7f.0.0.1:9000/", "http://0x7f000001:9000/", "http://2130706433:9000/",
    "http://017700000001:9000/", "http://127.000.000.001:9000/", "http://127.0.0.1.:9000/",
    "http://127.0.0.2:9000/", "http://0:9000/", "http://[0:0:0:0:0:0:0:1]:9000/",
    "http://[::ffff:127.0.0.1]:9000/", "http://[::ffff:7f00:1]:9000/", "http://[::1%25lo]:9000/",
    "http://[::1:9000/", "http://[::127.0.0.1]:9000/",
    # -- listed, and yet never called
    "http://169.254.169.254/latest/meta-data/", "http://0.0.0.0/", "http://255.255.255.255/",
    "http://224.0.0.1/", "http://[::]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://[::7f00:1]/", "http://[ff02::1]/", "http://[fe80::1]/", "http://[fd00:ec2::254]/",
    "http://[fec0::1]/", "http://intern.example.com/", "http://metadata.example.com/",
    "http://many.example.com/", "http://127.0.0.1:8420/", "http://[::ffff:a9fe:a9fe]/",
    "http://100.100.100.200/",
)  # fmt: skip


class Dials:
    """Stands where sockets are connected: nothing gets further, and all that came is here."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def connect(self, ip: IPAddress, port: int) -> socket:
        await trio.lowlevel.checkpoint()
        self.made.append(str(ip))
        raise ConnectionRefusedError("nobody listens")


@pytest.fixture
def dials() -> Iterator[Dials]:
    """No socket is connected in this test."""
    dials = Dials()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dial, "_connect_socket", dials.connect)
        yield dials


class Engine:
    """A caller, and the clients that there are now."""

    def __init__(self, *clients: Client, dialler: Dialler | None = None) -> None:
        dialler = dialler or Dialler(resolve=resolve)
        self.clients: Mapping[str, Client] = {}
        self.limits: Mapping[str, ClientLimits] = {}
        self.policies = Policies(self, dialler, {ENGINE_PORT})
        self.transport = LeanTransport(dialler)
        self.caller = HttpCaller(
            self.transport, version="1", utc_now=lambda: 0.0, policies=self.policies
        )
        self.has(*clients)

    def has(self, *clients: Client) -> None:
        """As the registry: another mapping after each change."""
        self.clients = {client.name: client for client in clients}

    async def call(self, url: str) -> Outcome:
        """An attempt of client `shop`."""
        return await self.caller.call(invocation(url))


async def resolve(host: str) -> Sequence[str]:
    await trio.lowlevel.checkpoint()
    return NAMES.get(host, ["127.0.0.1"])


def shop(*targets: str, private: bool = False, ca_file: str | None = None) -> Client:
    """The client whose steps are called."""
    return Client("shop", targets, private_targets=private, ca_file=ca_file)


def is_kept_back(outcome: Outcome) -> bool:
    """Whether nobody was called because of a list, so that the step waits for a person."""
    if not isinstance(outcome, Unanswered) or outcome.error is not CallError.TARGET_NOT_ALLOWED:
        return False
    return outcome.pauses


def test_the_corpus_is_large() -> None:
    """Sixty URLs at least, none of them twice."""
    assert len(REFUSED) >= 60
    assert len(set(REFUSED)) == len(REFUSED)


@pytest.mark.parametrize("url", REFUSED)
async def test_what_is_not_called(url: str, dials: Dials) -> None:
    """However a URL is written: what the list does not have, or what nobody may reach, is not
    dialled. (Most of these are refused when they are posted.)"""
    outcome = await Engine(shop(*TARGETS)).call(url)
    assert isinstance(outcome, Unanswered)
    assert outcome.error is CallError.TARGET_NOT_ALLOWED
    assert dials.made == []


@pytest.mark.parametrize("url", CALLED)
async def test_what_is_called(url: str, dials: Dials) -> None:
    """What the list has is dialled, at the one address that was checked."""
    outcome = await Engine(shop(*TARGETS)).call(url)
    assert isinstance(outcome, Unanswered)
    assert outcome.error is CallError.CONNECTION_REFUSED
    assert dials.made == [CALLED[url]]


LEADS = {
    Place.PUBLIC: """
        1.1.1.1 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 100.63.255.255 100.128.0.0
        223.255.255.255 2606:4700::1111 2001:200::1 3ffe::1 64:ff9b::808:808 ::ffff:8.8.8.8
    """,
    Place.PRIVATE: """
        10.0.0.0 10.255.255.255 127.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1
        198.18.0.1 192.0.2.1 ::1 fd12::1 fc00::1 2001:db8::1 ::ffff:10.0.0.1
    """,
    Place.NOWHERE: """
        0.0.0.0 0.1.2.3 169.254.0.1 168.63.129.16 100.100.100.200 192.0.0.192 192.0.0.8
        192.88.99.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::2 ::8.8.8.8
        64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:1ff::1
        2002:808:808::1 2002:7f00:1::1 4000::1 5f00::1 fe80::1 fec0::1 ff02::1 fd00:ec2::254
        fd20:ce::254 ::ffff:169.254.169.254 ::ffff:0.0.0.0
    """,
}
"""Addresses by where they lead."""


@pytest.mark.parametrize(
    ("address", "place"), [(it, place) for place in LEADS for it in LEADS[place].split()]
)
def test_where_an_address_leads(address: str, place: Place) -> None:
    """By IANA's registries, and whatever an IPv6 address wraps is judged as what it carries."""
    assert place_of(judged_address(ip_address(address))) is place


@pytest.mark.parametrize(
    ("target", "private", "addresses", "may"),
    [
        ("http://app/", False, ["10.0.0.1"], True),
        ("http://app/", False, ["127.0.0.1", "::1"], True),
        ("http://app/", False, ["1.1.1.1", "fd00::1"], True),
        ("http://app/", True, ["169.254.169.254"], False),
        ("http://app/", True, ["10.0.0.1", "0.0.0.0"], False),
        ("http://app./", False, ["10.0.0.1"], False),
        ("http://app.svc/", False, ["10.0.0.1"], False),
        ("http://app.svc/", False, ["127.0.0.1"], False),
        ("http://app.svc/", False, ["1.1.1.1", "10.0.0.1"], False),
        ("http://app.svc/", False, ["::ffff:10.0.0.1"], False),
        ("http://app.svc/", False, ["1.1.1.1", "2606:4700::1"], True),
        ("http://app.svc/", True, ["10.0.0.1", "127.0.0.1", "fd00::1"], True),
        ("http://app.svc/", True, ["10.0.0.1", "169.254.169.254"], False),
        ("http://app.svc/", True, ["::ffff:a9fe:a9fe"], False),
        ("http://app.svc/", True, ["64:ff9b::a00:1"], False),
    ],
)
async def test_which_addresses_a_name_may_have(
    target: str, private: bool, addresses: list[str], may: bool, dials: Dials
) -> None:
    """A name with a dot is public unless its client says otherwise, and one address that may not be
    is enough to call none."""
    dialler = Dialler(resolve=fixed_resolver(*addresses))
    outcome = await Engine(shop(target, private=private), dialler=dialler).call(f"{target}x")
    assert is_kept_back(outcome) is not may
    assert bool(dials.made) is may


async def test_rebinding(dials: Dials) -> None:
    """A name is looked up once for each connection, and what was checked is what is dialled: an
    answer that turns to loopback is refused, and none is dialled that was not looked at."""
    answers = [["1.1.1.1"], ["127.0.0.1"], ["1.1.1.1", "169.254.169.254"], ["1.0.0.1"]]

    async def flips(host: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return answers.pop(0)

    engine = Engine(shop("http://app.example/"), dialler=Dialler(resolve=flips))
    kept_back = [is_kept_back(await engine.call("http://app.example/x")) for _ in range(4)]
    assert kept_back == [False, True, True, False]
    assert dials.made == ["1.1.1.1", "1.0.0.1"]
    assert answers == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "app", "localhost"])
async def test_the_engine_does_not_call_itself(host: str, dials: Dials) -> None:
    """Its own ports, at any of this host's addresses; the same port elsewhere is fine."""
    url = f"http://{host}:{ENGINE_PORT}/shop"
    dialler = Dialler(resolve=fixed_resolver("127.0.0.1"))
    outcome = await Engine(shop(url), dialler=dialler).call(url)
    assert isinstance(outcome, Unanswered)
    assert outcome.detail.endswith("is the engine itself")
    elsewhere = Dialler(resolve=fixed_resolver("10.255.255.1"))
    await Engine(shop("http://app:8420/"), dialler=elsewhere).call("http://app:8420/x")
    assert dials.made == ["10.255.255.1"]


def test_which_addresses_are_this_hosts() -> None:
    """Loopback whole, and what the system would send from itself; an address elsewhere is not."""
    for ours in ("127.0.0.1", "127.3.2.1", "::1"):
        assert is_own(ip_address(ours))
    for other in ("1.1.1.1", "10.255.255.1", "2606:4700::1111"):
        assert not is_own(ip_address(other))


async def test_without_clients_it_is_loopback() -> None:
    """As before there were lists: nothing is asked, and elsewhere is an end, not a pause."""
    engine = Engine()
    assert not engine.policies.listed
    async with serving(always_ok) as server:
        assert await engine.call(server.url) == Answered(200, b"ok")
    outcome = await engine.call("http://10.0.0.1/")
    assert isinstance(outcome, Unanswered)
    assert (outcome.error, outcome.pauses) == (CallError.TARGET_NOT_ALLOWED, False)
    assert engine.policies.why_not("shop", "http://10.0.0.1/") == (
        "the address 10.0.0.1 may not be called"
    )
    assert engine.policies.why_not("shop", "http://app/") is None
    await engine.transport.aclose()


async def test_of_a_client_that_is_not_known_nothing_is_called(dials: Dials) -> None:
    """While there are clients, a name that is none has no targets, loopback neither."""
    engine = Engine(Client("other", ("http://127.0.0.1:9000/",)))
    outcome = await engine.call("http://127.0.0.1:9000/")
    assert is_kept_back(outcome)
    assert isinstance(outcome, Unanswered)
    assert outcome.detail == (
        "http://127.0.0.1:9000/: there is no client shop; to have one: `atomic client add shop"
        " --target http://127.0.0.1:9000/`"
    )
    assert dials.made == []


async def test_a_list_that_changes_holds_for_the_next_call() -> None:
    """Also where a connection is open and idle: it was made under the list of before."""
    async with serving(always_ok) as server:
        engine = Engine(shop(server.url))
        for _ in range(2):
            assert isinstance(await engine.call(server.url), Answered)
        assert server.connections == 1
        engine.has(shop("http://127.0.0.1:1/"))
        assert is_kept_back(await engine.call(server.url))
        engine.has(shop(server.url, private=True))
        assert isinstance(await engine.call(server.url), Answered)
        assert server.connections == 2
        engine.has(shop(server.url, private=True), Client("other"))
        assert isinstance(await engine.call(server.url), Answered)
        assert server.connections == 2
        await engine.transport.aclose()


async def test_what_stands_in_the_refusal() -> None:
    """The client, and the line to add, with the file that it belongs into."""
    client = Client("shop", ("http://app:9000/",), defined_in="/etc/atomic/clients/shop.toml")
    policies = Engine(client).policies
    assert policies.why_not("shop", "http://app:9001/x") == (
        "none of the targets of client shop covers it; to allow it: add"
        ' "http://app:9001/" to its `targets` in /etc/atomic/clients/shop.toml'
    )
    assert policies.why_not("shop", "http://app:9000/x") is None
    engine = Engine(shop("http://app:9000/hooks/"))
    why_not = partial(engine.policies.why_not, "shop")
    assert why_not("http://app:9000/hook/charge?token=secret") == (
        "none of the targets of client shop covers it (of that host it has"
        " http://app:9000/hooks/); to allow it: `atomic client targets shop --add"
        " http://app:9000/hook/charge`"
    ), "whoever listed a part of a host is not told to list all of it"
    stepping = why_not("http://app:9000/hooks/../x")
    assert stepping is not None
    assert stepping.endswith(", and no target with a path covers such a one")
    recorded = await engine.call("http://app:9000/hook/charge?token=secret")
    assert isinstance(recorded, Unanswered)
    assert recorded.detail.startswith("http://app:9000/hook/charge: none of the targets of client")
    assert "secret" not in recorded.detail
    why = Engine(shop("http://intern.example.com/"))
    outcome = await why.call("http://intern.example.com/x")
    assert isinstance(outcome, Unanswered)
    assert outcome.detail == (
        "intern.example.com:80: intern.example.com has the private address 10.0.0.8: a name with a"
        " dot may have one only if client shop has `private_targets = true`"
    )


async def test_what_no_client_may_have_called() -> None:
    """For what is asked of many clients at once: it says no only where all of them would. For who
    sees one client that one decides alone: another's target is as one that nobody has."""
    policies = Engine(shop("http://app/a/b"), Client("other", ("http://b/",))).policies
    assert policies.why_not_any("http://app/") is None
    assert policies.why_not_any("http://app/a/b/c") is None
    assert policies.why_not_any("http://b/x") is None
    assert policies.why_not_any("http://app/b") == "no client has a target there"
    assert policies.why_not_any("http://app/a/b/c", "shop") is None
    assert policies.why_not_any("http://b/x", "shop") == "shop has no target there"
    assert policies.why_not_any("http://none/", "shop") == "shop has no target there"
    assert policies.why_not_any("http://b/x", "gone") == "gone has no target there"
    assert Engine().policies.why_not_any("http://10.0.0.1/") is not None
    assert Engine().policies.why_not_any("http://app/") is None


async def test_each_client_has_its_own_trust(tmp_path: Path) -> None:
    """A `ca_file` is for its client's calls alone: another client gets neither its trust nor a
    connection that it made. It is read again when it has changed."""
    authority, later = trustme.CA(), trustme.CA()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(f"# Főtanúsítvány\n{authority.cert_pem.bytes().decode()}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("app.test").configure_cert(context)
    async with serving(always_ok, tls=context, url_host="app.test") as server:
        dialler = Dialler(resolve=fixed_resolver("127.0.0.1"))
        engine = Engine(dialler=dialler)
        trusting = shop(server.url, private=True, ca_file=str(ca_file))
        engine.has(trusting)
        assert isinstance(await engine.call(server.url), Answered)
        engine.has(shop(server.url, private=True))
        outcome = await engine.call(server.url)
        assert isinstance(outcome, Unanswered)
        assert outcome.error is CallError.TLS
        engine.has(trusting)
        assert isinstance(await engine.call(server.url), Answered)
        await engine.transport.aclose()
        engine = Engine(trusting, dialler=dialler)
        later.cert_pem.write_to_path(ca_file)
        outcome = await engine.call(server.url)
        assert isinstance(outcome, Unanswered)
        assert outcome.error is CallError.TLS
    ca_file.write_text("no certificate")
    outcome = await Engine(trusting, dialler=dialler).call("https://app.test:1/")
    assert isinstance(outcome, Unanswered)


def test_what_a_ca_file_said_before_holds_while_it_is_bad(tmp_path: Path) -> None:
    """Half of a file, or none, must not fail every call of its client."""
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    policy = CallPolicy(shop("http://app/", ca_file=str(ca_file)))
    before = policy.ssl_context()
    ca_file.write_text("no certificate")
    assert policy.ssl_context() is before
    ca_file.unlink()
    assert policy.ssl_context() is before
    trustme.CA().cert_pem.write_to_path(ca_file)
    assert policy.ssl_context() not in (None, before)


async def test_a_ca_file_that_cannot_be_used(tmp_path: Path) -> None:
    """It is a failed attempt like any fault of TLS, which names the file; it is tried again."""
    async with serving(always_ok, scheme="https", url_host="app.test") as server:
        for content in (None, "no certificate"):
            ca_file = tmp_path / "ca.pem"
            if content is not None:
                ca_file.write_text(content)
            client = shop(server.url, private=True, ca_file=str(ca_file))
            outcome = await Engine(
                client, dialler=Dialler(resolve=fixed_resolver("127.0.0.1"))
            ).call(server.url)
            assert isinstance(outcome, Unanswered)
            assert (outcome.error, outcome.pauses) == (CallError.TLS, False)
            assert str(ca_file) in outcome.detail
