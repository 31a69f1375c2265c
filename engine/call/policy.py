"""Where the steps of each client may be called: its targets, and where these may lead.

Two questions. Is the URL under one of the client's targets (`core/target.py`)? That is asked when
it is posted and before each call, of the list as it is then. And may its host have this address?
That is asked of every address that is about to be dialled:

* an IP address in the list is what it is, and a name without a dot (`app`, a service of a compose
  file or of a namespace) may be private: no name of the public DNS can be meant;
* any other name must be public, unless the client has `private_targets`: whoever owns the name may
  point it anywhere;
* where nobody's own application can be (`Place.NOWHERE`), and at the engine's own ports, nothing is
  ever called.

Without any client there are no lists, and loopback is what may be called.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Collection, Mapping

import httpx
import trio

from engine.call.address import IPAddress, Place, is_own, literal_address, place_of
from engine.call.dial import CalledUrl, Dialler, called_url
from engine.call.signing import Signer
from engine.core.access.client import ALERTS_CLIENT, Client
from engine.core.target import covers, is_covered, whole_host
from engine.core.text.redaction import redaction_of
from engine.http.tls import TlsError, default_ssl_context
from engine.ports.registry import Clients

NOT_SET = "alerts_url is not set any more"
TARGETS_TOLD_MAX = 3
"""Of one host, in a refusal."""
URLS_REMEMBERED_MAX = 1_024
"""Of each client: those that may be posted, until its definition changes."""

REACH_S = 3.0
"""How long a connection is waited for where somebody only asks whether there can be one."""


class CallPolicy:
    """How the steps of one client are called: where, and signed with what. A `Gate`.

    Made anew when the client's definition changes: a connection that was made under another policy
    is not used under this one.
    """

    unwrapped = False
    """Whether the payload is the whole body of a call."""

    def __init__(
        self, client: Client, own_ports: Collection[int] = (), *, known: bool = True
    ) -> None:
        self.client, self._own_ports, self._known = client, own_ports, known
        self.signer = Signer(client.signing_secrets) if client.signing_secrets else None
        self._private_by = f"client {client.name} has `private_targets = true`"
        self.redaction = redaction_of(client.redact) if client.redact else None
        self._passed: set[str] = set()
        self._context: ssl.SSLContext | None = None
        self._context_of: tuple[int, int, int] | None = None

    def why_not_posted(self, url: str, dialler: Dialler) -> str | None:
        """Why a step may not be recorded under this URL, which is normalised."""
        if url in self._passed:
            return None
        why = self.why_not_listed(url) or dialler.why_not(url, self)
        if why is None:
            if len(self._passed) >= URLS_REMEMBERED_MAX:
                self._passed.clear()
            self._passed.add(url)
        return why

    def why_not_listed(self, url: str) -> str | None:
        """Why the client's list does not have this URL, which is normalised, and what would have
        it; None: it does."""
        client = self.client
        if is_covered(client.targets, url):
            return None
        host = whole_host(url)
        if not self._known:
            how = f"`atomic client add {client.name} --target {host}`"
            return f"there is no client {client.name}; to have one: {how}"
        why = f"none of the targets of client {client.name} covers it"
        if here := [target for target in client.targets if whole_host(target) == host]:
            why += f" (of that host it has {' and '.join(here[:TARGETS_TOLD_MAX])})"
            # whoever listed a part of the host is not told to list all of it
            host = url.partition("?")[0]
            if not covers(host, url):
                return f"{why}, and no target with a path covers such a one"
        if client.defined_in:
            how = f'add "{host}" to its `targets` in {client.defined_in}'
        else:
            how = f"`atomic client targets {client.name} --add {host}`"
        return f"{why}; to allow it: {how}"

    def why_not(self, ip: IPAddress, target: CalledUrl) -> str | None:
        """As `Gate.why_not`."""
        place = place_of(ip)
        if place is Place.NOWHERE:
            return f"the address {ip} may never be called"
        if target.port in self._own_ports and is_own(ip):
            return f"{ip} with port {target.port} is the engine itself"
        if place is Place.PUBLIC or self.client.private_targets or _may_be_private(target.host):
            return None
        return (
            f"{target.host} has the private address {ip}: a name with a dot may have one only if"
            f" {self._private_by}"
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """As `Gate.ssl_context`: the system's certificates and those of the client's `ca_file`,
        which is read again when it has changed; what it said before holds while it is bad."""
        if self.client.ca_file is None:
            return None
        try:
            now = os.stat(self.client.ca_file)
            stamp = (now.st_mtime_ns, now.st_size, now.st_ino)
            if self._context is None or stamp != self._context_of:
                context = default_ssl_context()
                context.load_verify_locations(cafile=self.client.ca_file)
                self._context, self._context_of = context, stamp
        except OSError as error:  # ssl.SSLError is one
            if self._context is not None:
                return self._context  # the registry tells of the file
            why = getattr(error, "strerror", None) or str(error)
            raise TlsError(f"the ca_file {self.client.ca_file} cannot be used: {why}") from error
        return self._context


class AlertPolicy(CallPolicy):
    """How alerts are called: where the settings say, and nowhere else, without the envelope of a
    call. `client` without targets: no alerts are set."""

    unwrapped = True

    def __init__(self, client: Client, own_ports: Collection[int] = ()) -> None:
        super().__init__(client, own_ports)
        self._private_by = "`alerts_private_target = true` is set"

    def why_not_listed(self, url: str) -> str | None:
        """Why alerts do not go to this URL, which is normalised."""
        if url in self.client.targets:
            return None
        if not self.client.targets:
            return NOT_SET
        return (
            f"alerts_url is {self.client.targets[0]} now, and what was on its way to the one before"
            " ends so"
        )


def _may_be_private(host: str) -> bool:
    return "." not in host or literal_address(host) is not None


class Policies:
    """The policies of all clients, by the registry's clients as they are at each moment."""

    def __init__(
        self,
        registry: Clients,
        dialler: Dialler,
        own_ports: Collection[int] = (),
        alerts: Client | None = None,
    ) -> None:
        """`alerts`: as which the engine's own alerts are called."""
        self._registry, self._dialler, self._own_ports = registry, dialler, own_ports
        own = AlertPolicy(alerts or Client(ALERTS_CLIENT), own_ports)
        self._own: Mapping[str, CallPolicy] = {ALERTS_CLIENT: own}
        self._seen: Mapping[str, Client] = {}
        self._kept: dict[str, CallPolicy] = {}

    @property
    def listed(self) -> bool:
        """Whether there are lists of targets: else loopback is what may be called."""
        return bool(self._registry.clients)

    def of(self, name: str) -> CallPolicy | None:
        """The policy of a client; None: there are no lists, and it is none of the engine's own. Of
        one that is not known while there are others: nothing may be called."""
        clients = self._registry.clients
        if not clients:
            return self._own.get(name)
        if clients is not self._seen:
            kept = self._kept
            self._kept = {n: each for n, each in kept.items() if each.client == clients.get(n)}
            self._seen = clients
        if (policy := self._kept.get(name)) is not None:
            return policy
        if (client := clients.get(name)) is None:
            if name in self._own:
                return self._own[name]
            return CallPolicy(Client(name), known=False)
        policy = self._kept[name] = CallPolicy(client, self._own_ports)
        return policy

    def why_not(self, name: str, url: str) -> str | None:
        """Why the client may not have a URL called, and what to do; None: it may, as far as can be
        told without a look-up of its name. The URL is normalised."""
        policy = self.of(name)
        if policy is None:
            return self._dialler.why_not(url)
        return policy.why_not_posted(url, self._dialler)

    async def reach(self, name: str, url: str) -> str | None:
        """Connect where a client's calls go, through the same gate, and hang up: nothing is sent
        but what TLS begins with. Why it cannot be; None: it can."""
        with trio.move_on_after(REACH_S):
            try:
                wire = await self._dialler.connect(called_url(url), self.of(name))
            except (httpx.TransportError, OSError) as error:
                return str(error) or type(error).__name__
            wire.close()
            return None
        return f"no connection within {REACH_S:g} s"

    def why_not_any(self, start: str, only: str | None = None) -> str | None:
        """The same of everything that begins so, for every client: to refuse at once what would be
        refused of each. `only`: for that client alone, and nothing is told of the others."""
        clients = self._registry.clients
        if not clients:
            return self._dialler.why_not(start)
        asked = clients.values() if only is None else [clients.get(only, Client(only))]
        prefixes = (prefix for client in asked for prefix in client.targets)
        if any(covers(prefix, start) or covers(start, prefix) for prefix in prefixes):
            return None
        return "no client has a target there" if only is None else f"{only} has no target there"
