"""Where the database is, as people write it: `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.

libpq reads it, with all that it knows: several hosts, TLS, services, a file of passwords, PG…
variables. The password is for the server alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import trio

SCHEMES = ("postgresql://", "postgres://")
USUAL = {
    "application_name": "atomic",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "target_session_attrs": "read-write",
    "tcp_user_timeout": "5000",
}
"""Of those that are named with nothing else. A server that takes no byte for so long (ms) is gone;
of several hosts the one is meant that can be written."""
HIDDEN = "(hidden)"


class Place:
    """An address, taken apart."""

    def __init__(self, options: Mapping[str, str], secrets: frozenset[str]) -> None:
        """`options` by libpq's keywords; `secrets`: those that nobody is to see. Raises ValueError
        for a number that is none."""
        self._options = {**USUAL, **options}
        for port in filter(None, self._options.get("port", "").split(",")):
            int(port)
        self._hidden = [options[name] for name in secrets if options.get(name)]
        self.connect_s = max(1, int(self._options["connect_timeout"]))
        """How long each of its addresses is waited for."""

    def __str__(self) -> str:
        """For people: whose, where, which; nothing else."""
        get = self._options.get
        hosts = (get("host") or get("hostaddr") or "").split(",")
        ports = (get("port") or "").split(",")
        ports += [ports[-1]] * (len(hosts) - len(ports))
        user = quote(get("user") or "")
        name = quote(get("dbname") or "")
        on_wire = [
            (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
            for host, port in zip(hosts, ports, strict=False)
            if host and not host.startswith("/")
        ]
        sockets = [host for host in hosts if host.startswith("/")]
        at = f"{user}@" if user else ""
        shown = f"postgresql://{at}{','.join(on_wire)}/{name}"
        return shown + (f"?host={','.join(sockets)}" if sockets else "")

    def without_secrets(self, words: str) -> str:
        """Words of libpq's or the server's in one line, in which the password never stands."""
        for secret in self._hidden:
            words = words.replace(secret, HIDDEN)
        return " ".join(words.split())

    async def attempts(self) -> list[tuple[str, bytes]]:
        """How to connect to each of its addresses, one after the other: which it is, and libpq's
        words for it. Names are looked up here, as libpq would keep everybody waiting for that.

        Raises OSError when none of them is known.
        """
        hosts = (self._options.get("host") or "").split(",")
        if self._options.get("hostaddr") or hosts == [""]:
            return [(str(self), _in_libpqs_words(self._options))]
        ports = (self._options.get("port") or "5432").split(",")
        ports += [ports[-1]] * (len(hosts) - len(ports))
        found: list[tuple[str, bytes]] = []
        unknown: OSError | None = None
        for host, port in zip(hosts, ports, strict=False):
            options = {**self._options, "host": host, "port": port or "5432"}
            if host.startswith(("/", "@")) or not host:
                found.append((host or "the local socket", _in_libpqs_words(options)))
                continue
            try:
                addresses = await _addresses(host)
            except OSError as error:
                unknown = OSError(f"the name {host} is not known: {error.strerror or error}")
                continue
            found += [
                (f"{host} ({it})", _in_libpqs_words({**options, "hostaddr": it}))
                for it in addresses
            ]
        if not found and unknown is not None:
            raise unknown
        return found


async def _addresses(host: str) -> list[str]:
    found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(it[4][0]) for it in found))


def _in_libpqs_words(options: Mapping[str, str]) -> bytes:
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    return " ".join(f"{name}={quoted(value)}" for name, value in options.items()).encode()
