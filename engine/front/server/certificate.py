"""The certificate that the engine shows: read at the start, and again when its files change.

Nothing has to be told that they did: whoever renews certificates knows no process of ours. A pair
that cannot be used is told, and the last good one is shown on.
"""

from __future__ import annotations

import hashlib
import ssl
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import trio
from msgspec import Struct

from engine.front.server.tls import reason_of
from engine.process.config import ConfigError

LOOK_EVERY_S = 5.0
"""A bad pair is told when it is the same at the next look: the two files are written one after the
other."""
WARN_BEFORE_S = 14 * 86_400.0
"""Let's Encrypt renews a month before the end: by then it was to have happened twice."""
WARN_EVERY_S = 86_400.0
OTHERS_READ_OR_WRITE = stat.S_IROTH | stat.S_IWOTH
NO_CHECK_TIME = 0x200000
"""OpenSSL's `X509_V_FLAG_NO_CHECK_TIME`, for which Python has no name."""


class Pair(Struct, frozen=True):
    """A certificate and its key, as a server shows them."""

    context: ssl.SSLContext
    ends_at: float | None
    """Seconds since the epoch; None: it could not be told."""


class Says(Protocol):
    """A log, by levels."""

    def info(self, event: str, **values: Any) -> Any:
        """What is as it should be."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """What somebody should look at."""
        ...


class Certificate:
    """What is shown to new connections. Open ones go on as they began."""

    def __init__(
        self,
        files: tuple[Path, Path],
        utc_now: Callable[[], float],
        log: Says,
    ) -> None:
        """`files` are the certificate's, with its chain, and the key's; `utc_now` in seconds since
        the epoch. Raises ConfigError."""
        self._files = files
        self._utc_now = utc_now
        self._log = log
        self._seen = _digest(files)
        self._pair = read_pair(files)
        self._doubted: bytes | None = None  # what could not be used at the last look
        self._told: bytes | None = None  # and was told
        self._end_told_at = 0.0

    def context(self) -> ssl.SSLContext:
        """What a new connection is shown."""
        return self._pair.context

    @property
    def ends_at(self) -> float | None:
        """When it ends, in seconds since the epoch; None: it could not be told."""
        return self._pair.ends_at

    async def run(self) -> None:
        """Look at the files every few seconds, until cancelled."""
        self._warn_of_others()
        while True:
            self._warn_of_end()
            await trio.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Take what is in the files now, or say that it cannot be used."""
        digest = await trio.to_thread.run_sync(_digest, self._files)
        if digest == self._seen:
            self._doubted = self._told = None  # it may have been put back
            return
        try:
            self._pair = await trio.to_thread.run_sync(read_pair, self._files)
        except ConfigError as error:
            if digest == self._doubted and digest != self._told:
                self._told = digest
                self._log.warning("certificate-refused", reason=str(error))
            self._doubted = digest
        else:
            self._seen, self._doubted, self._told = digest, None, None
            self._end_told_at = 0.0
            self._log.info("certificate-taken", file=str(self._files[0]), ends=self._ends())
            self._warn_of_others()

    def _warn_of_others(self) -> None:
        """A key is no file of ours: it is told, and not refused, that others can read it."""
        key = self._files[1]
        with suppress(OSError):
            if key.stat().st_mode & OTHERS_READ_OR_WRITE:
                self._log.warning("tls-key-open", file=str(key), hint="chmod o= of it")

    def _warn_of_end(self) -> None:
        ends_at, now = self.ends_at, self._utc_now()
        if ends_at is None or ends_at > now + WARN_BEFORE_S:
            return
        if now >= self._end_told_at + WARN_EVERY_S:
            self._end_told_at = now
            if ends_at > now:
                self._log.warning("certificate-ends", file=str(self._files[0]), ends=self._ends())
            else:
                self._log.warning("certificate-ended", file=str(self._files[0]), ends=self._ends())

    def _ends(self) -> str | None:
        if self.ends_at is None:
            return None
        return datetime.fromtimestamp(self.ends_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digest(files: tuple[Path, Path]) -> bytes:
    """Of what is in the files; of one that cannot be read another than of any that can."""
    digest = hashlib.sha256()
    for file in files:
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:
            digest.update(b"unreadable")
    return digest.digest()


def read_pair(files: tuple[Path, Path]) -> Pair:
    """The pair in the files. Raises ConfigError, which names the file and what is wrong with it."""
    certificate, key = files
    for setting, file, mark in (
        ("tls_cert", certificate, b"-----BEGIN CERTIFICATE-----"),
        ("tls_key", key, b"PRIVATE KEY-----"),
    ):
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{setting}: {file}: cannot be read: {error.strerror}") from error
        if mark not in content:
            what = "certificate" if setting == "tls_cert" else "private key"
            raise ConfigError(f"{setting}: {file}: holds no {what} in PEM form")

    def password() -> str:
        raise ConfigError(
            f"tls_key: {key}: is encrypted, and nobody can be asked for a password; keep it"
            " decrypted, readable by the engine's user alone"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"tls_key: {key}: is not the key of the certificate in {certificate}"
            ) from error
        raise ConfigError(
            f"tls_cert, tls_key: {certificate}, {key}: cannot be used: {reason_of(error)}"
        ) from error
    except OSError as error:  # gone since
        raise ConfigError(f"tls_cert, tls_key: cannot be read: {error.strerror}") from error
    return Pair(context, _ends_at(context, certificate))


def _ends_at(context: ssl.SSLContext, certificate: Path) -> float | None:
    """When what is shown by `context` ends. The library tells that only of a peer's certificate: so
    this is a handshake in memory with a client that trusts it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(cafile=certificate)
        asking = client.wrap_bio(to_client, to_server)
        showing = context.wrap_bio(to_server, to_client, server_side=True)
        for side in (asking, showing, asking):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
        shown = asking.getpeercert() or {}
        return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
    except (OSError, ValueError, KeyError):
        return None
