"""Addresses: what an IP address is to whoever asks whether it may be called.

The tables are our own. `ipaddress.is_global` and its sisters are no policy: they pass NAT64 and
6to4 of 127.0.0.1, and change from one Python to the next. They follow the registries of IANA for
special-purpose addresses (RFC 6890), and what is in none of them is refused for IPv6, where all
that is assigned lies in 2000::/3.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket

ADDRESSES_CACHED_MAX = 1024

IPAddress = IPv4Address | IPv6Address

LOOPBACK_IPV4 = IPv4Network("127.0.0.0/8")
LOOPBACK_IPV6 = IPv6Address("::1")
NEVER_DIALLED = (
    IPv4Network("169.254.0.0/16"),  # link-local; the metadata service of most clouds
    IPv4Network("100.100.100.200/32"),  # Alibaba Cloud
    IPv4Network("168.63.129.16/32"),  # Azure
    IPv4Network("192.0.0.192/32"),  # Oracle Cloud
    IPv6Network("fe80::/10"),  # link-local
    IPv6Network("fd00:ec2::254/128"),  # AWS
    IPv6Network("fd20:ce::254/128"),  # Google Cloud
)
"""No policy can allow these: what answers there hands out the host's credentials."""
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_WRAPS_IPV4 = (
    (_NAT64, 0),  # RFC 6052
    (IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291 §2.5.5.1
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
)
"""Networks whose addresses carry an IPv4 address, and how many bits lie to the right of it."""

_PRIVATE = (
    LOOPBACK_IPV4,
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("100.64.0.0/10"),  # shared, RFC 6598: pods, VPNs
    IPv4Network("198.18.0.0/15"),  # benchmarks, RFC 2544
    IPv4Network("192.0.2.0/24"),  # documentation, like the next two: laboratories have them
    IPv4Network("198.51.100.0/24"),
    IPv4Network("203.0.113.0/24"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),  # unique local, RFC 4193
    IPv6Network("2001:db8::/32"),  # documentation, like the last
    IPv6Network("3fff::/20"),
)
_RESERVED = (
    IPv4Network("0.0.0.0/8"),  # this host; the system takes it for loopback
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("224.0.0.0/4"),  # multicast
    IPv4Network("240.0.0.0/4"),  # reserved, and broadcast
    IPv6Network("2001::/23"),  # Teredo and other protocols
    IPv6Network("2002::/16"),  # 6to4
)
_IPV6_PUBLIC = IPv6Network("2000::/3")


class Place(Enum):
    """Where an address leads."""

    PUBLIC = "public"
    PRIVATE = "private"
    """This host, or a network of somebody's own."""
    NOWHERE = "nowhere"
    """No policy can allow it: metadata services, and what is no address of one host."""


@lru_cache(maxsize=ADDRESSES_CACHED_MAX)
def literal_address(host: str) -> IPAddress | None:
    """The address, if `host` is one in its canonical form; `127.1` and the like are names."""
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    return ip if str(ip) == host and getattr(ip, "scope_id", None) is None else None


def judged_address(ip: IPAddress) -> IPAddress:
    """The address that a policy is asked about: an IPv4-mapped one (RFC 4291) is its IPv4."""
    if isinstance(ip, IPv6Address) and ip in _MAPPED:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


@lru_cache(maxsize=ADDRESSES_CACHED_MAX)
def is_never_dialled(ip: IPAddress) -> bool:
    """Whether it is, or wraps, an address of `NEVER_DIALLED`."""
    if any(ip in network for network in NEVER_DIALLED):
        return True
    if isinstance(ip, IPv4Address):
        return False
    wrapped = [IPv4Address(int(ip) >> n & 0xFFFFFFFF) for net, n in _WRAPS_IPV4 if ip in net]
    return any(is_never_dialled(inner) for inner in wrapped)


@lru_cache(maxsize=ADDRESSES_CACHED_MAX)
def place_of(ip: IPAddress) -> Place:
    """Where a judged address leads.

    NAT64 (`64:ff9b::/96`) is how a host without IPv4 reaches any public one: such an address is as
    public as the one that it carries, and carries no other.
    """
    if is_never_dialled(ip):
        return Place.NOWHERE
    if ip in _NAT64:
        inner = place_of(IPv4Address(int(ip) & 0xFFFFFFFF))
        return Place.PUBLIC if inner is Place.PUBLIC else Place.NOWHERE
    if any(ip in network for network in _PRIVATE):
        return Place.PRIVATE
    if any(ip in network for network in _RESERVED):
        return Place.NOWHERE
    return Place.PUBLIC if isinstance(ip, IPv4Address) or ip in _IPV6_PUBLIC else Place.NOWHERE


def loopback_only(ip: IPAddress) -> bool:
    """Without lists of targets: 127.0.0.0/8 and ::1."""
    return ip in LOOPBACK_IPV4 if isinstance(ip, IPv4Address) else ip == LOOPBACK_IPV6


def is_own(ip: IPAddress) -> bool:
    """Whether a judged address is this host's: the system would send to it from itself."""
    if loopback_only(ip):
        return True
    with socket(AF_INET if ip.version == 4 else AF_INET6, SOCK_DGRAM) as probe:
        try:
            probe.connect((str(ip), 9))  # sends nothing: it only asks for the way
        except OSError:
            return False
        return str(probe.getsockname()[0]) == str(ip)
