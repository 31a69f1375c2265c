"""Certificates of an authority of the tests' own, in files as an engine reads them."""

from __future__ import annotations

import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import trustme

from engine.front.server.certificate import Certificate

CA = trustme.CA()


class Files:
    """A certificate's file and its key's."""

    def __init__(self, directory: Path, name: str = "localhost", **how: Any) -> None:
        self.certificate, self.key = directory / "tls.crt", directory / "tls.key"
        self.write(name, **how)

    @property
    def both(self) -> tuple[Path, Path]:
        """As the engine takes them."""
        return self.certificate, self.key

    def write(self, name: str = "localhost", **how: Any) -> trustme.LeafCert:
        """Issue another pair into the files; `how` as trustme takes it."""
        leaf = CA.issue_cert(name, "127.0.0.1", "localhost", **how)
        self.certificate.write_bytes(b"".join(it.bytes() for it in leaf.cert_chain_pems))
        self.key.write_bytes(leaf.private_key_pem.bytes())
        self.key.chmod(0o600)
        return leaf


class Shown:
    """The certificate of an engine whose clock stands still, and what it says of it."""

    def __init__(self, files: Files, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.log: list[tuple[str, dict[str, object]]] = []
        self.certificate = Certificate(files.both, lambda: self.now, self)

    @property
    def events(self) -> list[str]:
        """What was said, without the values."""
        return [event for event, _ in self.log]

    def info(self, event: str, **values: object) -> None:
        """As a log has it."""
        self.log.append((event, values))

    warning = info


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def shown_certificate() -> Certificate:
    """One that clients trust who are `trusting`."""
    return Shown(_files()).certificate


@cache
def _files() -> Files:
    return Files(Path(_kept().name))


@cache
def trusting() -> ssl.SSLContext:
    """A client that trusts the tests' authority."""
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context
