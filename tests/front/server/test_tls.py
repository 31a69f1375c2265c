"""TLS over real sockets: handshakes, ends, bounds, and what is not spoken."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.front.server import tls
from engine.front.server.certificate import LOOK_EVERY_S, Certificate
from engine.front.server.server import SAID_EVERY_S, ServerLimits
from engine.front.server.tls import HANDSHAKE_S_MAX
from engine.process.budget import Budget
from tests.front import raw_http
from tests.front.certificates import CA, Files, Shown, trusting
from tests.front.raw_http import LARGE_BYTES, App, Client, Served, get, post, serving, settle

pytestmark = pytest.mark.usefixtures("over_tls")


@pytest.fixture(params=["quart", "door"])
def over_tls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways in, over TLS."""
    monkeypatch.setattr(raw_http, "WITH_DOOR", request.param == "door")
    monkeypatch.setattr(raw_http, "WITH_TLS", True)


class Hand:
    """A client's side of TLS in memory: each byte is sent by the test itself."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or trusting()).wrap_bio(
            self.incoming, self.outgoing, server_hostname="localhost"
        )

    def shake(self) -> bytes:
        """What has to be sent now; nothing more comes when it is done."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()


def client_context() -> ssl.SSLContext:
    """A client that trusts us, to be made a special one."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def said(server: Served, event: str = "tls-failed") -> list[object]:
    return [fields["reason"] for name, fields in server.log if name == event]


async def test_a_request_with_the_end_of_the_handshake(mock_clock: MockClock) -> None:
    """The first request may come in one packet with the client's last word of the handshake."""
    async with serving(App().quart) as server:
        client, hand = await server.bare(), Hand()
        await client.send(hand.shake())
        hand.incoming.write(await client.stream.receive_some())
        last = hand.shake()
        hand.tls.write(post("/echo", b"early"))
        await client.send(last + hand.outgoing.read())
        answer = b""
        while b"early" not in answer:
            hand.incoming.write(await client.stream.receive_some())
            try:
                answer += hand.tls.read(10_000)
            except ssl.SSLWantReadError:
                continue
        assert answer.startswith(b"HTTP/1.1 200")


async def test_every_byte_by_itself(mock_clock: MockClock) -> None:
    """A handshake and a request that come byte by byte are a handshake and a request."""
    async with serving(App().quart) as server:
        client, hand = await server.bare(), Hand()

        async def trickle(data: bytes) -> None:
            for at in range(len(data)):
                await client.send(data[at : at + 1])
                await settle()

        await trickle(hand.shake())
        hand.incoming.write(await client.stream.receive_some())
        await trickle(hand.shake())
        hand.tls.write(get("/fine"))
        await trickle(hand.outgoing.read())
        hand.incoming.write(await client.stream.receive_some())
        assert hand.tls.read(10_000).endswith(b"fine")


async def test_a_slow_handshake_is_cut_and_holds_nobody(mock_clock: MockClock) -> None:
    """Ten seconds from the connect, whether nothing comes or half a hello; others are served."""
    async with serving(App().quart) as server:
        silent, half = await server.bare(), await server.bare()
        await half.send(Hand().shake()[:100])
        await settle()
        other = await server.connect()
        await other.send(get("/fine"))
        assert (await other.read_answer()).body == b"fine"
        mock_clock.jump(HANDSHAKE_S_MAX - 0.01)
        await settle()
        assert server.counters.connections_open >= 2
        mock_clock.jump(0.02)
        assert (await silent.read_rest(), await half.read_rest()) == (b"", b"")
        await settle()
        assert server.counters.tls_failures == 2
        assert said(server) == ["no handshake in 10 s"]


async def test_what_failed_is_said_once_a_minute(mock_clock: MockClock) -> None:
    """And counted each time; a client that says nothing at all only looked at the port."""
    async with serving(App().quart) as server:
        for _ in range(3):
            client = await server.bare()
            await client.send(b"\x16\x03\x01\x00\x05hello")
            await client.read_rest()
        await (await server.bare()).vanish()
        await settle()
        assert (server.counters.tls_failures, len(said(server))) == (3, 1)
        mock_clock.jump(SAID_EVERY_S)
        client = await server.bare()
        await client.send(Hand().shake()[:50])
        await client.vanish()
        await settle()
        assert said(server)[1:] == ["the client left in the handshake"]
        assert server.counters.connections_open == 0
        assert server.counters.faults_contained == 0


@pytest.mark.parametrize(("reasons_max", "lines"), [(32, 3), (1, 2)])
async def test_each_reason_is_said_by_itself(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, reasons_max: int, lines: int
) -> None:
    """Who does not trust the certificate is told of at once, whatever else failed a moment ago.
    Of very many reasons those beyond have a line together, and none is left uncounted."""
    monkeypatch.setattr("engine.front.server.server.REASONS_MAX", reasons_max)
    async with serving(App().quart) as server:
        for _ in range(2):
            client = await server.bare()
            await client.send(b"\x16\x03\x01\x00\x05hello")
            await client.read_rest()
            leaving = await server.bare()
            await leaving.send(Hand().shake()[:50])
            await leaving.vanish()
            await settle()
        silent = await server.bare()
        await silent.send(b"\x16")
        await settle()
        mock_clock.jump(10.1)
        await silent.read_rest()
        await settle()
        assert len(said(server)) == lines
        assert len(set(said(server))) == len(said(server))
        assert server.counters.tls_failures == 5


async def test_plain_http_is_told_where_it_is(mock_clock: MockClock) -> None:
    """Who forgot the s of https gets an answer that says so, in the clear."""
    async with serving(App().quart) as server:
        client = await server.bare()
        await client.send(get("/fine"))
        answer = await client.read_answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert b"This port speaks TLS: https://" in answer.body
        assert await client.read_rest() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_versions(version: ssl.TLSVersion, mock_clock: MockClock) -> None:
    """TLS 1.2 and newer."""
    context = client_context()
    context.minimum_version = context.maximum_version = version
    async with serving(App().quart) as server:
        client = await server.connect(context=context)
        await client.send(get("/fine"))
        assert (await client.read_answer()).body == b"fine"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_old_version_is_refused(mock_clock: MockClock) -> None:
    """And told so by an alert."""
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(App().quart) as server:
        with pytest.raises(trio.BrokenResourceError) as refused:
            await server.connect(context=context)
        assert "PROTOCOL_VERSION" in str(refused.value.__cause__)
        await settle()
        assert said(server) == ["unsupported protocol"]


@pytest.mark.parametrize(("offered", "chosen"), [(["h2", "http/1.1"], "http/1.1"), (["h2"], None)])
async def test_no_http2(offered: list[str], chosen: str | None, mock_clock: MockClock) -> None:
    """Who offers both gets HTTP/1.1, and who offers nothing else no promise."""
    context = client_context()
    context.set_alpn_protocols(offered)
    async with serving(App().quart) as server:
        stream = (await server.connect(context=context)).stream
        assert isinstance(stream, raw_http.SealedStream)
        assert stream.tls.selected_alpn_protocol() == chosen


async def test_a_client_that_does_not_trust_the_certificate(mock_clock: MockClock) -> None:
    """Its alert is what the log says."""
    async with serving(App().quart) as server:
        client, hand = await server.bare(), Hand(ssl.create_default_context())
        await client.send(hand.shake())
        hand.incoming.write(await client.stream.receive_some())
        with pytest.raises(ssl.SSLCertVerificationError):
            hand.shake()
        await client.send(hand.outgoing.read())
        await client.read_rest()
        assert said(server) == ["tlsv1 alert unknown ca"]
        assert server.counters.faults_contained == 0


async def test_what_is_no_tls_any_more_ends_the_connection(mock_clock: MockClock) -> None:
    """Bytes that were not encrypted are no request, wherever they stand."""
    async with serving(App().quart) as server:
        client = await server.connect()
        await client.send(get("/fine"))
        assert (await client.read_answer()).body == b"fine"
        assert isinstance(client.stream, raw_http.SealedStream)
        await client.stream.raw.send_all(get("/second"))
        with pytest.raises(trio.BrokenResourceError):
            await client.stream.receive_some()
        await settle()
        assert said(server) == ["wrong version number"]
        assert server.counters.requests_refused == 0


async def test_half_a_record_at_the_end(mock_clock: MockClock) -> None:
    """A cut within a record is a client that left, and no fault."""
    async with serving(App().quart) as server:
        client = await server.connect()
        assert isinstance(client.stream, raw_http.SealedStream)
        await client.stream.raw.send_all(b"\x17\x03\x03\x00\x50half")
        await settle()
        await client.stream.raw.aclose()
        await settle()
        assert server.counters.connections_open == 0
        assert server.counters.faults_contained == 0


async def test_goodbye_behind_a_request(mock_clock: MockClock) -> None:
    """A client that says in one packet what it wants and that it leaves has left."""
    async with serving(App().quart) as server:
        client = await server.connect()
        assert isinstance(client.stream, raw_http.SealedStream)
        await client.send(get("/hold"))
        await client.stream.tls.unwrap()
        await settle()
        assert server.counters.connections_open == 0


async def test_above_the_limit_a_handshake_gives_way(mock_clock: MockClock) -> None:
    """As silence does, when it has had its second; counted, and no failure of TLS."""
    app = App()
    async with serving(app.quart, ServerLimits(connections_max=1, beyond_max=1)) as server:
        first = await server.connect()
        await first.send(get("/hold"))
        second = await server.bare()
        await second.send(Hand().shake()[:100])
        await settle()
        mock_clock.jump(1)
        third = await server.connect()
        await third.send(get("/fine"))
        assert (await third.read_answer()).status == 503
        assert await second.read_rest() in (b"", b"<reset>")
        assert server.counters.connections_refused == 2
        assert server.counters.tls_failures == 0
        app.release.set()
        assert (await first.read_answer()).body == b"held"


async def test_a_stop_waits_for_no_handshake(mock_clock: MockClock) -> None:
    """Who has not asked for anything holds up no exit."""
    async with serving(App().quart, grace_s=1000) as server:
        client = await server.bare()
        await client.send(Hand().shake()[:100])
        await settle()
        server.stop.set()
        assert await client.read_rest() in (b"", b"<reset>")
        with trio.fail_after(5):
            await server.ended.wait()
        assert said(server) == []


async def test_a_body_that_has_no_room_is_not_read(mock_clock: MockClock) -> None:
    """Of what is encrypted no more is taken than of what is not."""
    body = b"x" * 300_000
    budget = Budget(int(4 * len(body)))
    async with serving(App().quart, budget=budget) as server, trio.open_nursery() as nursery:
        first, second = await server.connect(), await server.connect()
        whole = post("/echo", body)
        await first.send(whole[:100_000])
        await settle()
        nursery.start_soon(second.send, whole)
        await settle()
        assert (budget.posts.granted, budget.posts.waiting) == (len(body), 1)
        nursery.start_soon(first.send, whole[100_000:])
        assert (await first.read_answer()).body == body
        assert (await second.read_answer()).body == body
        await settle()
        assert (budget.posts.granted, budget.posts.waiting) == (0, 0)


async def test_a_large_answer_is_encrypted_piece_by_piece(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be in memory twice otherwise, for as long as its client reads slowly."""
    sizes: list[int] = []
    write = tls.Sealed._write_nowait

    def noted(self: tls.Sealed, data: bytes) -> bytes | memoryview:
        sizes.append(len(data))
        return write(self, data)

    monkeypatch.setattr(tls.Sealed, "_write_nowait", noted)
    async with serving(App().quart) as server:
        client = await server.connect()
        await client.send(get("/big"))
        assert (await client.read_answer()).body == b"x" * LARGE_BYTES
    assert max(sizes) < tls.SEALED_AT_ONCE_BYTES + 1_000
    assert sum(sizes) > LARGE_BYTES


async def test_what_openssl_says_unasked_is_bounded(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that makes it say more and more, and asks for nothing, is cut."""
    made: list[tls.Sealed] = []
    shake_hands = tls.Sealed.shake_hands

    async def noted(self: tls.Sealed, data: bytes) -> None:
        made.append(self)
        await shake_hands(self, data)

    monkeypatch.setattr(tls.Sealed, "shake_hands", noted)
    async with serving(App().quart) as server:
        client = await server.connect()
        await settle()  # else it would leave with the end of the handshake
        made[0]._outgoing.write(b"x" * (tls.UNASKED_BYTES_MAX + 1))
        await client.send(get("/fine"))
        await settle()
        assert said(server) == ["the client has tls answer and reads none of it"]
        assert server.counters.requests_refused == 0


# --- files that change ---


def name_of(client: Client) -> str:
    """Whose certificate a client was shown."""
    assert isinstance(client.stream, raw_http.SealedStream)
    shown = client.stream.tls.getpeercert()
    return str(shown["subjectAltName"][0][1])


async def test_the_files_are_looked_at(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every few seconds, so that a change is taken within ten."""
    looks: list[float] = []

    async def look(self: Certificate) -> None:
        looks.append(trio.current_time())

    monkeypatch.setattr(Certificate, "look", look)
    async with serving(App().quart, certificate=Shown(Files(tmp_path)).certificate):
        for _ in range(3):
            await settle()
            mock_clock.jump(5)
        await settle()
    assert looks == [5, 10, 15]


async def test_renewed_files_are_taken(tmp_path: Path, mock_clock: MockClock) -> None:
    """New connections are shown the new one; open ones go on."""
    shown = Shown(Files(tmp_path, "old.test"))
    async with serving(App().quart, certificate=shown.certificate) as server:
        old = await server.connect()
        assert name_of(old) == "old.test"
        Files(tmp_path, "new.test")
        await shown.certificate.look()
        assert name_of(await server.connect()) == "new.test"
        await old.send(get("/fine"))
        assert (await old.read_answer()).body == b"fine"
    assert shown.events == ["certificate-taken"]


async def test_a_bad_pair_is_told_and_the_last_good_one_holds(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """Once, and not while the two files are being written one after the other."""
    files = Files(tmp_path, "good.test")
    shown = Shown(files)
    async with serving(App().quart, certificate=shown.certificate) as server:
        half = files.certificate.read_bytes(), files.key.read_bytes()
        files.write("other.test")
        files.key.write_bytes(half[1])
        await shown.certificate.look()
        assert shown.events == []
        await shown.certificate.look()
        await shown.certificate.look()
        assert shown.events == ["certificate-refused"]
        assert "is not the key of the certificate" in str(shown.log[0][1]["reason"])
        assert name_of(await server.connect()) == "good.test"
        files.key.unlink()
        await shown.certificate.look()
        await shown.certificate.look()
        assert (
            shown.log[1][1]["reason"]
            == f"tls_key: {files.key}: cannot be read: No such file or directory"
        )
        assert name_of(await server.connect()) == "good.test"
        files.write("better.test")
        await shown.certificate.look()
        assert shown.events[2:] == ["certificate-taken"]
        assert name_of(await server.connect()) == "better.test"


async def test_a_pair_that_is_put_back_is_not_bad(tmp_path: Path, mock_clock: MockClock) -> None:
    """And when it is bad again later, that is told again."""
    files = Files(tmp_path)
    shown, good = Shown(files), files.key.read_bytes()
    async with serving(App().quart, certificate=shown.certificate):
        for _ in range(2):
            files.key.write_bytes(b"nonsense")
            await shown.certificate.look()
            await shown.certificate.look()
            files.key.write_bytes(good)
            await shown.certificate.look()
    assert shown.events == ["certificate-refused", "certificate-refused"]


async def test_the_end_of_a_certificate_is_told(tmp_path: Path, mock_clock: MockClock) -> None:
    """From 14 days before it on, once a day; and not of one that goes on for long."""
    end = datetime(2027, 3, 1, tzinfo=UTC)
    day = 86_400
    shown = Shown(Files(tmp_path, not_after=end), now=end.timestamp() - 14 * day - 1)
    assert shown.certificate.ends_at == end.timestamp()
    async with serving(App().quart, certificate=shown.certificate):
        for seconds, events in (
            (0, []), (2, ["certificate-ends"]), (day - 10, []), (10, ["certificate-ends"]),
            (14 * day, ["certificate-ended"]), (day - 10, []), (10, ["certificate-ended"]),
        ):  # fmt: skip
            shown.now += seconds
            mock_clock.jump(LOOK_EVERY_S)
            await settle_threads()
            assert shown.events == events, seconds
            assert all(it["ends"] == "2027-03-01T00:00:00Z" for _, it in shown.log)
            shown.log.clear()


async def settle_threads() -> None:
    """The look at the files has come back from its thread."""
    await settle()
    await trio.to_thread.run_sync(lambda: None)
    await settle()


async def test_a_key_that_others_can_read_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """At the start and with each new pair; it is used all the same, and one of its user's alone is
    not spoken of."""
    files = Files(tmp_path)
    shown = Shown(files)
    with trio.move_on_after(LOOK_EVERY_S / 2):
        await shown.certificate.run()
    assert shown.events == []
    files.key.chmod(0o604)
    with trio.move_on_after(LOOK_EVERY_S / 2):
        await shown.certificate.run()
    assert shown.log == [("tls-key-open", {"file": str(files.key), "hint": "chmod o= of it"})]
    files.write()
    files.key.chmod(0o602)
    await shown.certificate.look()
    assert shown.events == ["tls-key-open", "certificate-taken", "tls-key-open"]
