"""What people change of clients and tokens: each a whole change, or a refusal that says why.

The first thing that is made has every request asked for a token from then on. So that nobody locks
themselves out, a token that may make others is made with it, where there is none: in one commit.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.access.client import Client
from engine.core.access.token import Role, Token
from engine.core.errors import Problem, Refused
from engine.registry.registry import TOKEN_BYTES, TOKEN_PREFIX, Registry, digest_of
from engine.registry.secrets import SIGNING_BYTES, SIGNING_SECRETS_MAX, signing_secret
from engine.registry.undefined import OpenByClient, runs_text, shown, undefined

ADMIN = "admin"
"""What the first token is called that may make others."""


class Made(Struct, frozen=True):
    """A token with its secret, which is in this value alone."""

    token: Token
    secret: str

    def __repr__(self) -> str:
        return f"Made({self.token!r}, <secret>)"


class Changes:
    """Changes a registry, one change at a time."""

    def __init__(
        self,
        registry: Registry,
        *,
        now: Callable[[], int],
        token_bytes: Callable[[int], bytes],
        open_by_client: OpenByClient,
    ) -> None:
        """`now`: milliseconds since the epoch, UTC. `open_by_client`: how many open runs each
        client has."""
        self._registry, self._now = registry, now
        self._token_bytes, self._open_by_client = token_bytes, open_by_client
        self._changing = trio.Lock()

    async def add_client(
        self, client: Client, actor: str, *, pause_others: bool = False
    ) -> tuple[Made, Made | None]:
        """Make a client known, and a token of its name to post with; returns that, and the admin
        token if one had to be made. Raises Refused; of the first one also while open runs of other
        names would be paused by it, unless that is meant."""
        async with self._changing:
            if client.name in self._registry.clients:
                raise _not_possible(f"There is a client {client.name!r} already.")
            self._refuse_taken(client.name)
            if not self._registry.clients and not pause_others:
                self._refuse_pausing(undefined({client.name}, await self._open_by_client()))
            admin = self._admin_beside(client.name)
            made = self._made(Token(client.name, b"", Role.SUBMIT, client.name))
            await self._put(made, admin, actor, client)
            return made, admin

    async def set_targets(
        self,
        name: str,
        actor: str,
        *,
        add: tuple[str, ...],
        remove: tuple[str, ...],
        private_targets: bool | None,
        most: int,
    ) -> Client:
        """Change where a client's steps may be called. It holds for their next attempts. Raises
        Refused, also for more than `most` targets, and for one to take away that there is not."""
        if not add and not remove and private_targets is None:
            raise _invalid("add", "Say which targets to add or to remove.")
        async with self._changing:
            client = self._client(name)
            if lacking := [target for target in remove if target not in client.targets]:
                raise _invalid("remove", f"The client {name!r} has no target {lacking[0]}.")
            left = [target for target in client.targets if target not in remove]
            targets = tuple(dict.fromkeys((*left, *add)))
            if len(targets) > most:
                raise _invalid("add", f"A client has at most {most} targets.")
            client = replace(client, targets=targets)
            if private_targets is not None:
                client = replace(client, private_targets=private_targets)
            await self._registry.put_client(client, actor)
            return client

    async def set_redact(
        self, name: str, actor: str, *, add: tuple[str, ...], remove: tuple[str, ...], most: int
    ) -> Client:
        """Change what of a client's bodies people are not shown. Raises Refused, also for more than
        `most` rules, and for one to take away that there is not."""
        if not add and not remove:
            raise _invalid("add", "Say what to add or to remove.")
        async with self._changing:
            client = self._client(name)
            if lacking := [rule for rule in remove if rule not in client.redact]:
                raise _invalid("remove", f"The client {name!r} does not hide {lacking[0]!r}.")
            left = [rule for rule in client.redact if rule not in remove]
            rules = tuple(dict.fromkeys((*left, *add)))
            if len(rules) > most:
                raise _invalid("add", f"A client has at most {most} names and pointers to hide.")
            client = replace(client, redact=rules)
            await self._registry.put_client(client, actor)
            return client

    async def add_signing_secret(self, name: str, actor: str) -> tuple[Client, str]:
        """Sign a client's calls with a new secret, and while there is one before it with both;
        returns the secret as Standard Webhooks writes it. Raises Refused where there are two: the
        application may have either of them."""
        async with self._changing:
            client = self._client(name)
            if len(client.signing_secrets) >= SIGNING_SECRETS_MAX and not client.defined_in:
                raise _not_possible(
                    f"Calls of {name!r} are signed with two secrets. When its application has the"
                    f" newer one, take the older away: `atomic client secret rm {name}`. Then add"
                    " another."
                )
            key = self._token_bytes(SIGNING_BYTES)
            client = replace(client, signing_secrets=(key, *client.signing_secrets))
            await self._registry.put_client(client, actor)
            return client, signing_secret(key)

    async def remove_signing_secret(self, name: str, actor: str, *, last: bool) -> Client:
        """Sign a client's calls with the older of two secrets no more. Raises Refused where there
        is none, and for one alone unless it may be the `last`."""
        async with self._changing:
            client = self._client(name)
            least = 0 if last else 1
            if len(client.signing_secrets) <= least and not client.defined_in:
                raise _not_possible(
                    f"Calls of {name!r} are signed with no other secret: an application that asks"
                    " for a signature would refuse them. If they are to be signed no more:"
                    f" `atomic client secret rm {name} --last`."
                    if client.signing_secrets
                    else f"Calls of {name!r} are not signed."
                )
            client = replace(client, signing_secrets=client.signing_secrets[:-1])
            await self._registry.put_client(client, actor)
            return client

    async def set_disabled(self, name: str, actor: str, *, disabled: bool) -> Client:
        """Refuse a client's posts, or take them again. Raises Refused."""
        async with self._changing:
            client = replace(self._client(name), disabled=disabled)
            await self._registry.put_client(client, actor)
            return client

    async def remove_client(self, name: str, actor: str) -> Client:
        """Forget a client, and the tokens that are bound to it. Raises Refused while runs of it are
        open; but for one that a file defines as well, which goes on as the file has it."""
        async with self._changing:
            client = self._client(name)
            if name in self._registry.defined_twice:
                await self._registry.remove_client(name, actor)
                await self._remove_tokens_of(name, actor)
                return client
            await self._refuse_open_runs(name)
            await self._registry.remove_client(name, actor)
            try:
                await self._refuse_open_runs(name)  # of a post that was let in just before
            except Refused:
                await self._registry.put_client(client, actor)
                raise
            await self._remove_tokens_of(name, actor)
            return client

    async def _remove_tokens_of(self, client: str, actor: str) -> None:
        for token in list(self._registry.tokens.values()):
            if token.client == client and not token.defined_in:
                await self._registry.remove_token(token.name, actor)

    async def add_token(
        self, name: str, role: Role, client: str | None, expires_in_ms: int | None, actor: str
    ) -> tuple[Made, Made | None]:
        """Make a token; returns it, and the admin token if one had to be made. Raises Refused."""
        async with self._changing:
            if role is Role.SUBMIT and client is None:
                raise _invalid("client", "A token of the role submit is for one client: say which.")
            if role is Role.ADMIN and client is not None:
                raise _invalid("client", "A token of the role admin is bound to no client.")
            if client is not None:
                self._client(client)
            self._refuse_taken(name)
            admin = None if role is Role.ADMIN else self._admin_beside(name)
            made = self._made(Token(name, b"", role, client, self._at(expires_in_ms)))
            await self._put(made, admin, actor)
            return made, admin

    async def rotate_token(
        self, name: str, overlap_ms: int, expires_in_ms: int | None, actor: str
    ) -> Made:
        """Give a token another secret; the one before is good for so long beside it, and the one
        before that no more. Raises Refused."""
        async with self._changing:
            token = self._token(name)
            at = token.expires_at if expires_in_ms is None else self._at(expires_in_ms)
            if at is not None and at <= self._now():
                raise _not_possible(
                    f"The token {name!r} has run out: say for how long it is to be good again."
                )
            made = self._made(
                replace(
                    token,
                    expires_at=at,
                    rotated_digest=token.digest if overlap_ms else None,
                    rotated_until=self._now() + overlap_ms if overlap_ms else 0,
                )
            )
            await self._registry.put_token(made.token, actor)
            return made

    async def remove_token(self, name: str, actor: str) -> Token:
        """Take a token away. Raises Refused for the last that may make others."""
        async with self._changing:
            token = self._token(name)
            if self._admins() == [token] and not token.defined_in:
                raise _not_possible(
                    f"The token {name!r} is the last of the role admin: without it nobody could"
                    " make another. Rotate it, or make another first."
                )
            await self._registry.remove_token(name, actor)
            return token

    def _admin_beside(self, name: str) -> Made | None:
        """The token that may make others, to be put together with the one of this name; None:
        there is one. Raises Refused where they would have one name."""
        if self._admins():
            return None
        self._refuse_taken(ADMIN)
        if name == ADMIN:
            raise _not_possible(
                f"The token that may make others is made first, and called {ADMIN!r}: choose"
                " another name, or make that one yourself: `atomic token add NAME --role admin`."
            )
        return self._made(Token(ADMIN, b"", Role.ADMIN))

    async def _put(
        self, made: Made, admin: Made | None, actor: str, client: Client | None = None
    ) -> None:
        """All or nothing: who is left without the token that may make others is locked out."""
        tokens = [made.token] if admin is None else [admin.token, made.token]
        await self._registry.put_together(tokens, actor, client)

    def _admins(self) -> list[Token]:
        """The tokens that may make others, now."""
        now, tokens = self._now(), self._registry.tokens.values()
        return [it for it in tokens if it.role is Role.ADMIN and it.is_good(it.digest, now)]

    def _made(self, token: Token) -> Made:
        """The token with a new secret."""
        chance = base64.urlsafe_b64encode(self._token_bytes(TOKEN_BYTES))
        secret = TOKEN_PREFIX + chance.rstrip(b"=").decode("ascii")
        return Made(replace(token, digest=digest_of(secret)), secret)

    def _at(self, in_ms: int | None) -> int | None:
        return None if in_ms is None else self._now() + in_ms

    def _client(self, name: str) -> Client:
        client = self._registry.clients.get(name)
        if client is None:
            raise Refused(Problem.NOT_FOUND, f"There is no client {name[:64]!r}.")
        return client

    def _token(self, name: str) -> Token:
        token = self._registry.tokens.get(name)
        if token is None:
            raise Refused(Problem.NOT_FOUND, f"There is no token {name[:64]!r}.")
        return token

    def _refuse_taken(self, name: str) -> None:
        if name in self._registry.tokens:
            raise _not_possible(
                f"There is a token {name!r} already: choose another name, or rotate it for another"
                " secret."
            )

    @staticmethod
    def _refuse_pausing(others: Mapping[str, int]) -> None:
        if not others:
            return
        raise Refused(
            Problem.NOT_POSSIBLE,
            f"This would be the first client, and then {runs_text(others)} would be paused at their"
            " next attempt, as nothing of a name without a definition is called. Let them end"
            " first, or say that it is meant (--pause-others; `pauseOthers`), add those names too,"
            " and let their runs go on:"
            " atomic bulk resume --filter 'error:target-not-allowed is:stuck'",
            openRuns=sum(others.values()),
            clients=shown(others),
        )

    async def _refuse_open_runs(self, name: str) -> None:
        if count := (await self._open_by_client()).get(name, 0):
            runs = f"{count:,} open runs" if count > 1 else "an open run"
            raise Refused(
                Problem.NOT_POSSIBLE,
                f"The client {name!r} has {runs}: let them end, or cancel them, first. Disabled, it"
                " is given no new ones.",
                openRuns=count,
            )


def _not_possible(detail: str) -> Refused:
    return Refused(Problem.NOT_POSSIBLE, detail)


def _invalid(member: str, detail: str) -> Refused:
    return Refused(Problem.INVALID_REQUEST, detail, member=member)
