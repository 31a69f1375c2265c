"""What admins ask of an engine: clients and tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import Struct

from engine.client.aio.exchange import AsyncExchange
from engine.client.answers import read_answer
from engine.client.calls import admin_call, look
from engine.wire import access, routes
from engine.wire.backup import BackupProgress, BackupRequest
from engine.wire.doctor import Finding
from engine.wire.limits import LimitKind, LimitsRequest, LimitsRow, ResetRequest
from engine.wire.retention import PruneAnswer, PruneRequest

T = TypeVar("T")


class AsyncAdmin:
    """Changes who may ask, and for whom: `admin` of a client. It needs a token of that role."""

    def __init__(self, exchange: AsyncExchange, actor: str | None) -> None:
        self._exchange = exchange
        self._actor = actor

    async def clients(self) -> tuple[access.ClientRow, ...]:
        """All clients, by name."""
        return (await self._look(routes.CLIENTS)).clients

    async def add_client(
        self,
        name: str,
        targets: Iterable[str],
        *,
        private_targets: bool = False,
        steps_need_parent: bool | None = None,
        pause_others: bool = False,
        redact: Iterable[str] = (),
    ) -> access.ClientAnswer:
        """Make a client known, with the prefixes of the URLs that its steps may have, and what of
        its bodies people are not shown (`redact`: names of headers, JSON pointers). The answer has
        its token's secret, this once. Raises Refused of the first one while runs of other names are
        open, which it would pause, unless that is meant (`pause_others`)."""
        asked = access.ClientRequest(
            name, tuple(targets), private_targets, steps_need_parent, pause_others, tuple(redact)
        )
        return await self._ask(routes.CLIENT_ADD, asked)

    async def change_targets(
        self,
        name: str,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        private_targets: bool | None = None,
    ) -> access.ClientRow:
        """Change where a client's steps may be called: from their next attempts on."""
        asked = access.TargetsRequest(tuple(add), tuple(remove), private_targets)
        return await self._ask(routes.CLIENT_TARGETS, asked, name)

    async def change_redact(
        self, name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> access.ClientRow:
        """Change what of a client's bodies people are not shown: names of headers, and JSON
        pointers."""
        asked = access.RedactRequest(tuple(add), tuple(remove))
        return await self._ask(routes.CLIENT_REDACT, asked, name)

    async def add_signing_secret(self, name: str) -> access.SigningAnswer:
        """Sign a client's calls with a new secret, and with the one before it too. The answer has
        it, this once. Raises Refused where there are two."""
        return await self._ask(routes.CLIENT_SIGN, access.NoMembers(), name)

    async def remove_signing_secret(self, name: str, *, last: bool = False) -> access.ClientRow:
        """Sign its calls with the older of two secrets no more; `last`: with the only one."""
        return await self._ask(routes.CLIENT_UNSIGN, access.SigningRemoval(last), name)

    async def disable_client(self, name: str) -> access.ClientRow:
        """Refuse a client's posts."""
        return await self._ask(routes.CLIENT_DISABLE, access.NoMembers(), name)

    async def enable_client(self, name: str) -> access.ClientRow:
        """Take them again."""
        return await self._ask(routes.CLIENT_ENABLE, access.NoMembers(), name)

    async def remove_client(self, name: str) -> access.ClientRow:
        """Forget a client, and the tokens that are bound to it. Raises Refused while it has open
        runs."""
        return await self._ask(routes.CLIENT_REMOVE, access.NoMembers(), name)

    async def prune(
        self,
        *,
        dry_run: bool = False,
        retention_days: int | None = None,
        keys_kept_days: int | None = None,
    ) -> PruneAnswer:
        """Remove runs that ended longer ago than they are kept, beside the engine's work; returns
        what goes. `dry_run`: only say what would, also with other days than are set."""
        asked = PruneRequest(dry_run, retention_days, keys_kept_days)
        return await self._ask(routes.PRUNE, asked)

    async def limits(self) -> tuple[LimitsRow, ...]:
        """What clients and hosts may take, where something is set."""
        return (await self._look(routes.LIMITS)).limits

    async def set_limits(
        self, kind: LimitKind | str, name: str, values: Mapping[str, int | float]
    ) -> LimitsRow:
        """Set limits of a `client` or a `host`, until they are reset."""
        return await self._ask(
            routes.LIMITS_SET, LimitsRequest(LimitKind(kind), name, dict(values))
        )

    async def reset_limits(self, kind: LimitKind | str, name: str) -> LimitsRow:
        """Take back what was set. Raises Refused when nothing was."""
        return await self._ask(routes.LIMITS_RESET, ResetRequest(LimitKind(kind), name))

    async def doctor(self) -> tuple[Finding, ...]:
        """What is looked at of the engine, its file and its machine, and what is not as it should
        be."""
        return (await self._look(routes.DOCTOR)).findings

    async def test_alerts(self) -> str:
        """Have an alert sent, to see whether it comes; returns the id of its run, whose outcome
        says what the receiver answered. Raises Refused where no alerts are set."""
        return (await self._ask(routes.ALERTS_TEST, access.NoMembers())).run_id

    async def back_up(self, file: str) -> BackupProgress:
        """Have a copy of the record made, under a path of the engine's machine. `backup` of the
        status tells what comes of it."""
        return await self._ask(routes.BACKUP, BackupRequest(file))

    async def audit(
        self,
        *,
        since: str | None = None,
        actor: str | None = None,
        act: str | None = None,
        what: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> access.AuditPage:
        """What people did, and tokens that were refused, newest first. `since`: RFC 3339."""
        asked = {"since": since, "actor": actor, "act": act, "what": what}
        return await self._look(routes.AUDIT, **asked, cursor=cursor, limit=limit)

    async def tokens(self) -> tuple[access.TokenRow, ...]:
        """All tokens, by name, without their secrets."""
        return (await self._look(routes.TOKENS)).tokens

    async def add_token(
        self,
        name: str,
        role: routes.Role | str,
        *,
        client: str | None = None,
        expires_in_ms: int | None = None,
    ) -> access.TokenAnswer:
        """Make a token. The answer has its secret, this once."""
        asked = access.TokenRequest(name, routes.Role(role), client, expires_in_ms)
        return await self._ask(routes.TOKEN_ADD, asked)

    async def rotate_token(
        self,
        name: str,
        *,
        overlap_ms: int = access.OVERLAP_MS,
        expires_in_ms: int | None = None,
    ) -> access.TokenAnswer:
        """Give a token another secret; the one before is good for `overlap_ms` beside it."""
        asked = access.RotateRequest(overlap_ms, expires_in_ms)
        return await self._ask(routes.TOKEN_ROTATE, asked, name)

    async def remove_token(self, name: str) -> access.TokenRow:
        """Take a token away."""
        return await self._ask(routes.TOKEN_REMOVE, access.NoMembers(), name)

    async def _look(self, route: routes.Route[T], **query: str | int | None) -> T:
        return read_answer(await self._exchange.answer(look(route, **query)), route.answer)

    async def _ask(self, route: routes.Route[T], asked: Struct, *ids: str) -> T:
        call = admin_call(route, *ids, request=asked, actor=self._actor)
        return read_answer(await self._exchange.answer(call), route.answer)
