"""Variables of the environment that begin as the engine's own do: which are somebody else's."""

from __future__ import annotations

import re
from collections.abc import Mapping

ENVIRONMENT_PREFIX = "ATOMIC_"
CLIENT_VARIABLES = frozenset(
    {"url", "client", "actor", "token", "token_file", "signing_secret_file"}
)
"""Variables of the prefix that applications, the command and the dashboard read: one of them may
resemble a setting and is none."""
RESEMBLES_MUCH = frozenset({"ui"})
"""Settings with names so short that a variable of another program (`ATOMIC_UID`) is no slip."""
_SERVICE_LINK = re.compile(r"(.+_)?(service_(host|port(_.+)?)|port_[0-9]+_(tcp|udp|sctp)(_.+)?)")
_SERVICE_PORT = re.compile(r"(tcp|udp|sctp)://")


def service_links(environ: Mapping[str, str]) -> list[str]:
    """Variables that Kubernetes sets for a Service called `atomic`, or `atomic-…`: not ours,
    though one of them has the name of a setting (`ATOMIC_PORT=tcp://10.0.0.1:8420`)."""
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(ENVIRONMENT_PREFIX)
        and is_service_link(name.removeprefix(ENVIRONMENT_PREFIX).lower(), value)
    )


def is_service_link(name: str, value: str) -> bool:
    """Whether a variable of the prefix, by the rest of its name in lower case, is one of them."""
    its_port = name.endswith("port") and _SERVICE_PORT.match(value)
    return bool(its_port or _SERVICE_LINK.fullmatch(name))
