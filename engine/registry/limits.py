"""Limits that people set at run time: recorded, and won by until they are reset.

Of a client or a host each value stands for itself: one that is not set is that of the files, or the
engine's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec
import trio
from msgspec import Struct

from engine.core.access.client import ClientLimits
from engine.core.access.limits import HostLimits, host_name
from engine.core.errors import Problem, Refused
from engine.core.target import BadTarget
from engine.ports.registry import KIND_LIMITS, Registered, RegistryStore
from engine.registry.members import LimitMembers
from engine.registry.registry import Registry

SET_MAX = 10_000
"""Clients and hosts with limits of their own: few, and read whole at the start."""


class LimitKind(StrEnum):
    """Whose they are."""

    CLIENT = "client"
    HOST = "host"


Key = tuple[LimitKind, str]
Values = Mapping[str, int | float]
_TYPES: dict[LimitKind, type[Struct]] = {
    LimitKind.CLIENT: LimitMembers,
    LimitKind.HOST: HostLimits,
}


class Limit(Struct, frozen=True):
    """One as it holds."""

    name: str
    value: int | float | None
    """None: there is none, or the engine's setting holds."""
    set_by: str
    """`run time`, the file that says so, or `default`."""


class SetLimits:
    """Made once, by the composition root. `of_hosts` are the file's; `apply` has calls kept to
    those that hold, after the registry has those of clients."""

    def __init__(
        self,
        store: RegistryStore,
        registry: Registry,
        of_hosts: Mapping[str, HostLimits],
        apply: Callable[[Mapping[str, HostLimits]], None],
        now: Callable[[], int],
    ) -> None:
        self._store, self._registry, self._now = store, registry, now
        self._of_hosts, self._apply = of_hosts, apply
        self._changing = trio.Lock()
        self._set: dict[Key, Values] = {}
        for entry in store.registered:
            if entry.kind == KIND_LIMITS and entry.value is not None:
                kind, _, name = entry.name.partition("/")
                self._set[LimitKind(kind), name] = msgspec.json.decode(entry.value)
        self._join()

    @property
    def all(self) -> list[Key]:
        """Clients and hosts of which a file or somebody has set something."""
        hosts = ((LimitKind.HOST, name) for name in self._of_hosts)
        clients = ((LimitKind.CLIENT, name) for name in self._registry.limits)
        return sorted({*self._set, *hosts, *clients})

    def of(self, kind: LimitKind, name: str) -> list[Limit]:
        """What holds for a client or a host, and where each comes from."""
        base, place = self._base(kind, name)
        now = self._set.get((kind, name), {})
        found = []
        for limit in _TYPES[kind].__struct_fields__:
            value = getattr(base, limit)
            by = "default" if value is None else place
            found.append(Limit(limit, now.get(limit, value), "run time" if limit in now else by))
        return found

    async def set(self, kind: LimitKind, name: str, values: Values, actor: str) -> str:
        """Set some of its limits, durably; returns the name as it is counted by. Raises Refused."""
        name = _name(kind, name)
        for limit, value in values.items():
            if limit not in _TYPES[kind].__struct_fields__:
                known = ", ".join(_TYPES[kind].__struct_fields__)
                raise _invalid(f"A {kind} has no limit {limit[:64]!r}; there are {known}.", limit)
            try:
                msgspec.convert({limit: value}, _TYPES[kind])
            except msgspec.ValidationError as error:
                why = str(error).partition(" - at ")[0]
                raise _invalid(f"{limit} = {value}: {why}.", limit) from error
        async with self._changing:
            if (kind, name) not in self._set and len(self._set) >= SET_MAX:
                detail = f"There are {SET_MAX:,} clients and hosts with limits: reset some."
                raise Refused(Problem.NOT_POSSIBLE, detail, limit="limits")
            await self._put(kind, name, {**self._set.get((kind, name), {}), **values}, actor)
        return name

    async def reset(self, kind: LimitKind, name: str, actor: str) -> str:
        """What files and defaults say holds again, durably. Raises Refused (`not-found`) when
        nothing was set."""
        name = _name(kind, name)
        async with self._changing:
            if (kind, name) not in self._set:
                detail = f"No limit of {kind} {name} was set at run time; `atomic limits` says all."
                raise Refused(Problem.NOT_FOUND, detail)
            await self._put(kind, name, {}, actor)
        return name

    async def _put(self, kind: LimitKind, name: str, values: Values, actor: str) -> None:
        value = msgspec.json.encode(values) if values else None
        entry = Registered(KIND_LIMITS, f"{kind}/{name}", value, self._now(), actor)
        await self._store.register(entry).wait()
        if values:
            self._set[kind, name] = values
        else:
            del self._set[kind, name]
        self._join()

    def _base(self, kind: LimitKind, name: str) -> tuple[Struct, str]:
        if kind is LimitKind.HOST:
            return self._of_hosts.get(name, HostLimits()), "file"
        its = self._registry.clients.get(name)
        return (ClientLimits(), "") if its is None else (its.limits, its.defined_in or "client")

    def _join(self) -> None:
        hosts: dict[str, Any] = {name: msgspec.to_builtins(it) for name, it in self._hosts}
        clients: dict[str, Values] = {}
        for (kind, name), values in self._set.items():
            if kind is LimitKind.HOST:
                hosts[name] = {**hosts.get(name, {}), **values}
            else:
                clients[name] = values
        self._registry.set_limits(clients)
        self._apply({name: msgspec.convert(it, HostLimits) for name, it in hosts.items()})

    @property
    def _hosts(self) -> list[tuple[str, HostLimits]]:
        return list(self._of_hosts.items())


def _name(kind: LimitKind, name: str) -> str:
    if kind is LimitKind.CLIENT:
        return name
    try:
        return host_name(name)
    except BadTarget as error:
        raise Refused(Problem.INVALID_REQUEST, f"{name[:64]!r} {error}.", member="name") from error


def _invalid(detail: str, limit: str) -> Refused:
    return Refused(Problem.INVALID_REQUEST, detail, member=f"set.{limit[:64]}")
