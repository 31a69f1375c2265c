"""Clients and tokens as they are changed by people: whole, or refused with why."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from engine.core.access.client import Client
from engine.core.access.token import Role, Token
from engine.core.errors import Problem, Refused
from engine.ports.registry import Registered
from engine.registry.changes import Changes
from engine.registry.registry import Registry, digest_of
from tests.store.support import store_at

SHOP = Client("shop", ("http://shop:9000/",))
DAY = 86_400_000


class Desk:
    """A registry on a real file, and who changes it."""

    def __init__(self, registry: Registry) -> None:
        self.now = 1_000
        self.open_runs: list[dict[str, int]] = [{}]
        """By client, as they are found each time that they are looked for; the last one stays."""
        self.registry = registry
        self._chance = iter(range(1, 256))
        self.changes = Changes(
            registry,
            now=lambda: self.now,
            token_bytes=lambda count: bytes([next(self._chance)]) * count,
            open_by_client=self.open_by_client,
        )

    async def open_by_client(self) -> dict[str, int]:
        return self.open_runs.pop(0) if len(self.open_runs) > 1 else self.open_runs[0]

    def twice(self) -> list[str]:
        """Clients of a file and of a command."""
        return list(self.registry.defined_twice)

    def good(self, secret: str) -> str | None:
        """The name of the token that this is now."""
        token = self.registry.token_of(secret)
        return None if token is None else token.name


@asynccontextmanager
async def desk_at(path: Path) -> AsyncIterator[Desk]:
    async with store_at(path) as store:
        desks: list[Desk] = []
        registry = Registry(store, lambda: desks[0].now)
        desks.append(Desk(registry))
        yield desks[0]


async def refusal(change: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await change  # type: ignore[misc]
    return caught.value


async def test_the_first_client_locks_nobody_out(path: Path) -> None:
    """With it comes a token that may make others, as from then on every request needs one; with
    the second none does."""
    async with desk_at(path) as desk:
        made, admin = await desk.changes.add_client(SHOP, "ada")
        assert admin is not None
        assert admin.token == Token("admin", digest_of(admin.secret), Role.ADMIN)
        assert made.token == Token("shop", digest_of(made.secret), Role.SUBMIT, "shop")
        assert made.secret.startswith("atomic_")
        assert len(made.secret) == 50, "256 bits, URL-safe"
        assert made.secret != admin.secret
        assert (desk.good(made.secret), desk.good(admin.secret)) == ("shop", "admin")
        assert await desk.changes.add_client(Client("cafe"), "ada") is not None
        _, second = await desk.changes.add_token("ci", Role.SUBMIT, "cafe", None, "ada")
        assert second is None
    async with desk_at(path) as desk:  # it was durable, and none of the secrets is kept
        assert set(desk.registry.tokens) == {"admin", "shop", "cafe", "ci"}
        assert desk.good(made.secret) == "shop"
    kept = b"".join(each.read_bytes() for each in path.parent.iterdir() if each.is_file())
    assert made.secret.encode() not in kept
    assert admin.secret.encode() not in kept


async def test_the_first_client_pauses_no_runs_of_others_unsaid(path: Path) -> None:
    """It is refused with how many runs of which names, and nothing was made; its own are none of
    them, and once there is a client nothing new happens to anybody."""
    open_runs = {"shop": 3, "mail": 1, "billing": 11}
    async with desk_at(path) as desk:
        desk.open_runs = [open_runs]
        refused = await refusal(desk.changes.add_client(SHOP, "ada"))
        assert refused.problem is Problem.NOT_POSSIBLE
        assert "12 open runs of 2 other names (billing, mail) would be paused" in refused.detail
        assert "--pause-others" in refused.detail
        assert refused.members == {"openRuns": 12, "clients": ["billing", "mail"]}
        assert (desk.registry.clients, desk.registry.tokens) == ({}, {})
        assert not desk.registry.asks_token
        await desk.changes.add_client(SHOP, "ada", pause_others=True)
        await desk.changes.add_client(Client("cafe"), "ada")
    async with desk_at(path.with_name("b.db")) as desk:
        desk.open_runs = [{"shop": 3}]
        await desk.changes.add_client(SHOP, "ada")
    many = {f"name-{number:02}": 1 for number in range(11)}
    async with desk_at(path.with_name("c.db")) as desk:
        desk.open_runs = [many]
        refused = await refusal(desk.changes.add_client(SHOP, "ada"))
        assert "11 open runs of 11 other names (name-00," in refused.detail
        assert refused.detail.count("name-") == 10, "so many are named"
        assert "name-09, …)" in refused.detail
        assert refused.members["clients"] == sorted(many)[:10]


async def test_the_first_token_may_be_that_of_an_admin(path: Path) -> None:
    """Then it is the only one that is made; a first one of another role brings one along."""
    async with desk_at(path) as desk:
        made, admin = await desk.changes.add_token("root", Role.ADMIN, None, None, "ada")
        assert (made.token.role, admin) == (Role.ADMIN, None)
    async with desk_at(path.with_name("b.db")) as desk:
        made, admin = await desk.changes.add_token("ci", Role.READ, None, None, "ada")
        assert admin is not None
        assert set(desk.registry.tokens) == {"admin", "ci"}
        taken = await refusal(desk.changes.add_token("ci", Role.READ, None, None, "ada"))
        assert "There is a token 'ci' already" in taken.detail


async def test_the_first_of_all_is_not_called_as_the_token_that_comes_along(path: Path) -> None:
    """Both would have one name, and its secret would be the one that may make nothing. Refused
    before anything is written; with another token that may make others the name is free."""
    async with desk_at(path) as desk:
        for change in (
            desk.changes.add_client(Client("admin"), "ada"),
            desk.changes.add_token("admin", Role.READ, None, None, "ada"),
        ):
            refused = await refusal(change)
            assert refused.problem is Problem.NOT_POSSIBLE
            assert "`atomic token add NAME --role admin`" in refused.detail
        assert not desk.registry.asks_token
    async with desk_at(path) as desk:
        assert (desk.registry.clients, desk.registry.tokens) == ({}, {})
        root, _ = await desk.changes.add_token("root", Role.ADMIN, None, None, "ada")
        made, admin = await desk.changes.add_client(Client("admin"), "ada")
        assert (desk.good(root.secret), desk.good(made.secret), admin) == ("root", "admin", None)


@pytest.mark.parametrize("what", ["client", "token"])
async def test_the_first_of_all_is_written_with_the_token_that_comes_along(
    path: Path, what: str, autojump_clock: trio.testing.MockClock
) -> None:
    """All of it is given to the store before anything is waited for, and so is in one commit: an
    end in between would leave a token whose secret nobody was shown."""

    class Never:
        registered = ()

        def register(self, entry: Registered) -> Never:
            given.append(entry.name)
            return self

        async def wait(self) -> None:
            await trio.sleep_forever()

    given: list[str] = []
    desk = Desk(Registry(Never(), lambda: 1_000))  # type: ignore[arg-type]
    with trio.move_on_after(1):
        if what == "client":
            await desk.changes.add_client(SHOP, "ada")
        else:
            await desk.changes.add_token("ci", Role.READ, None, None, "ada")
    assert given == {"client": ["admin", "shop", "shop"], "token": ["admin", "ci"]}[what]
    assert not desk.registry.asks_token


async def test_a_token_needs_what_its_role_says(path: Path) -> None:
    """One to submit a known client, one to do everything none; names are given once."""
    async with desk_at(path) as desk:
        await desk.changes.add_client(SHOP, "ada")
        for role, client, problem, words in (
            (Role.SUBMIT, None, Problem.INVALID_REQUEST, "say which"),
            (Role.ADMIN, "shop", Problem.INVALID_REQUEST, "bound to no client"),
            (Role.SUBMIT, "nosuch", Problem.NOT_FOUND, "There is no client 'nosuch'"),
        ):
            refused = await refusal(desk.changes.add_token("t", role, client, None, "ada"))
            assert (refused.problem, words in refused.detail) == (problem, True), refused
        for name in ("shop", "admin"):
            refused = await refusal(desk.changes.add_client(Client(name), "ada"))
            assert f"There is a {'client' if name == 'shop' else 'token'} {name!r}" in str(refused)
        assert set(desk.registry.clients) == {"shop"}


async def test_a_rotated_token_has_two_secrets_for_a_while(path: Path) -> None:
    """And never three: the one before the last is good no more. Without an overlap only the new
    one is."""
    async with desk_at(path) as desk:
        first, _ = await desk.changes.add_token("root", Role.ADMIN, None, None, "ada")
        second = await desk.changes.rotate_token("root", DAY, None, "ada")
        secrets = [first.secret, second.secret]
        assert [*map(desk.good, secrets)] == ["root", "root"]
        desk.now += DAY - 1
        assert [*map(desk.good, secrets)] == ["root", "root"]
        third = await desk.changes.rotate_token("root", DAY, None, "ada")
        secrets.append(third.secret)
        assert [*map(desk.good, secrets)] == [None, "root", "root"]
        desk.now += DAY
        assert [*map(desk.good, secrets)] == [None, None, "root"]
        fourth = await desk.changes.rotate_token("root", 0, None, "ada")
        assert [*map(desk.good, (*secrets, fourth.secret))] == [None, None, None, "root"]
    async with desk_at(path) as desk:
        assert desk.good(fourth.secret) == "root"


async def test_a_token_that_has_run_out_is_good_again_when_it_is_said_for_how_long(
    path: Path,
) -> None:
    """A rotation alone does not make it so: that would be a secret that is good for nothing."""
    async with desk_at(path) as desk:
        await desk.changes.add_token("root", Role.ADMIN, None, None, "ada")
        made, _ = await desk.changes.add_token("ci", Role.READ, None, 10, "ada")
        desk.now += 9
        assert desk.good(made.secret) == "ci"
        desk.now += 1
        assert desk.good(made.secret) is None
        refused = await refusal(desk.changes.rotate_token("ci", DAY, None, "ada"))
        assert "has run out" in refused.detail
        again = await desk.changes.rotate_token("ci", DAY, 5, "ada")
        assert (desk.good(again.secret), desk.good(made.secret)) == ("ci", "ci")
        desk.now += 5
        assert (desk.good(again.secret), desk.good(made.secret)) == (None, None)


async def test_the_last_token_that_may_make_others_stays(path: Path) -> None:
    """One that has run out is none."""
    async with desk_at(path) as desk:
        await desk.changes.add_token("root", Role.ADMIN, None, None, "ada")
        await desk.changes.add_token("second", Role.ADMIN, None, 10, "ada")
        await desk.changes.add_token("ci", Role.READ, None, None, "ada")
        desk.now += 10
        refused = await refusal(desk.changes.remove_token("root", "ada"))
        assert (refused.problem, "last of the role admin" in str(refused)) == (
            Problem.NOT_POSSIBLE,
            True,
        )
        await desk.changes.remove_token("ci", "ada")
        await desk.changes.add_token("third", Role.ADMIN, None, None, "ada")
        await desk.changes.remove_token("root", "ada")
        assert set(desk.registry.tokens) == {"second", "third"}
        refused = await refusal(desk.changes.remove_token("root", "ada"))
        assert refused.problem is Problem.NOT_FOUND


async def test_a_client_with_open_runs_is_not_forgotten(path: Path) -> None:
    """However one came to be open: there before, or let in while it was being forgotten. Without
    them it goes, with the tokens that are bound to it."""
    async with desk_at(path) as desk:
        await desk.changes.add_client(SHOP, "ada")
        await desk.changes.add_client(Client("cafe"), "ada")
        await desk.changes.add_token("look", Role.SUBMIT, "shop", None, "ada")
        for counts in ([2], [0, 1]):
            desk.open_runs = [{"shop": count, "cafe": 7} for count in counts]
            refused = await refusal(desk.changes.remove_client("shop", "ada"))
            assert refused.problem is Problem.NOT_POSSIBLE
            assert refused.members == {"openRuns": counts[-1]}
            assert desk.registry.clients["shop"] == SHOP
        desk.open_runs = [{"cafe": 7}]
        await desk.changes.remove_client("shop", "ada")
        assert set(desk.registry.clients) == {"cafe"}
        assert set(desk.registry.tokens) == {"admin", "cafe"}
        assert (await refusal(desk.changes.remove_client("shop", "ada"))).problem is (
            Problem.NOT_FOUND
        )


async def test_a_list_of_targets_is_changed(path: Path) -> None:
    """What is added comes last and once, what is removed must be there, the rest stays; also at the
    next start."""
    none: tuple[str, ...] = ()
    async with desk_at(path) as desk:
        await desk.changes.add_client(SHOP, "ada")
        change = partial(desk.changes.set_targets, "shop", "ada", private_targets=None, most=3)
        added = await change(add=("http://b/", "http://c/", "http://b/"), remove=none)
        assert added.targets == (*SHOP.targets, "http://b/", "http://c/")
        for add, remove in ((none, none), (("http://d/",), none), (none, ("http://d/",))):
            refused = await refusal(change(add=add, remove=remove))
            assert refused.problem is Problem.INVALID_REQUEST
        assert desk.registry.clients["shop"] == added
        changed = await change(add=("http://d/",), remove=SHOP.targets, private_targets=True)
        assert changed.targets == ("http://b/", "http://c/", "http://d/")
    async with desk_at(path) as desk:
        assert desk.registry.clients["shop"] == changed
        assert changed.private_targets
        change = partial(desk.changes.set_targets, "shop", "ada", most=3)
        last = await change(add=none, remove=none, private_targets=False)
        assert last == replace(changed, private_targets=False)


async def test_a_disabled_client_stays_known(path: Path) -> None:
    """Also at the next start, and can be enabled again."""
    async with desk_at(path) as desk:
        await desk.changes.add_client(SHOP, "ada")
        await desk.changes.set_disabled("shop", "ada", disabled=True)
    async with desk_at(path) as desk:
        assert desk.registry.clients["shop"].disabled
        await desk.changes.set_disabled("shop", "ada", disabled=False)
        assert desk.registry.clients["shop"] == SHOP
        refused = await refusal(desk.changes.set_disabled("cafe", "ada", disabled=True))
        assert refused.problem is Problem.NOT_FOUND


async def test_what_a_file_defines_is_changed_in_the_file(path: Path) -> None:
    """The refusal names it: of clients and of tokens, whatever is asked."""
    async with desk_at(path) as desk:
        client = Client("shop", defined_in="clients/shop.toml")
        tokens = [
            Token(name, digest_of(name), role, bound, defined_in="clients/shop.toml")
            for name, role, bound in (("shop", Role.SUBMIT, "shop"), ("a", Role.ADMIN, None))
        ]
        desk.registry.set_defined([client], tokens)
        for change in (
            desk.changes.set_disabled("shop", "ada", disabled=True),
            desk.changes.set_targets(
                "shop", "ada", add=("http://b/",), remove=(), private_targets=None, most=9
            ),
            desk.changes.remove_client("shop", "ada"),
            desk.changes.rotate_token("shop", DAY, None, "ada"),
            desk.changes.remove_token("a", "ada"),
        ):
            refused = await refusal(change)
            assert refused.problem is Problem.NOT_POSSIBLE
            assert "defined in clients/shop.toml" in refused.detail


async def test_when_a_token_was_last_used(path: Path) -> None:
    """Of each of a token's two secrets, so that one sees when nobody has the old one any more; of
    one that was refused nothing, and of one that is gone nothing is kept."""
    async with desk_at(path) as desk:
        made, _ = await desk.changes.add_client(SHOP, "ada")
        assert desk.registry.used_at(made.token.digest) is None
        desk.now = 2_000
        assert desk.good(made.secret) == "shop"
        again = await desk.changes.rotate_token("shop", DAY, None, "ada")
        old, new = again.token.rotated_digest, again.token.digest
        assert (desk.registry.used_at(old), desk.registry.used_at(new)) == (2_000, None)
        desk.now = 3_000
        assert desk.good(again.secret) == "shop"
        assert (desk.registry.used_at(old), desk.registry.used_at(new)) == (2_000, 3_000)
        desk.now += DAY
        assert desk.good(made.secret) is None
        assert desk.registry.used_at(old) == 2_000
        await desk.changes.rotate_token("shop", 0, None, "ada")
        assert (desk.registry.used_at(old), desk.registry.used_at(new)) == (None, None)


async def test_a_client_of_a_file_and_of_a_command(path: Path) -> None:
    """The file's holds, and it is told that there are two. What a command added is forgotten with
    its tokens, also while it has open runs: they go on as the file has it. Otherwise it would be
    back, with the targets of then, when the file is gone."""
    async with desk_at(path) as desk:
        made, _ = await desk.changes.add_client(SHOP, "ada")
        assert desk.twice() == []
        defined = Client("shop", ("http://other/",), defined_in="clients/shop.toml")
        token = Token("shop.1", digest_of("t"), Role.SUBMIT, "shop", defined_in="shop.token")
        desk.registry.set_defined([defined], [token])
        assert desk.twice() == ["shop"]
        assert desk.registry.clients["shop"] == defined
        assert desk.good(made.secret) == "shop"
        desk.open_runs = [{"shop": 3}]
        assert await desk.changes.remove_client("shop", "ada") == defined
        assert (desk.twice(), desk.good(made.secret)) == ([], None)
        assert (desk.registry.clients["shop"], desk.good("t")) == (defined, "shop.1")
        desk.registry.set_defined([], [])
        assert "shop" not in desk.registry.clients


async def test_the_only_admin_of_a_file_is_exchanged_in_the_file(path: Path) -> None:
    """A command cannot rotate it, so nobody is told to."""
    async with desk_at(path) as desk:
        root = Token("admin.aa", digest_of("a"), Role.ADMIN, defined_in="admin.token")
        desk.registry.set_defined([], [root])
        refused = await refusal(desk.changes.remove_token("admin.aa", "ada"))
        assert "defined in admin.token: change it there. For another one add a line" in str(refused)


def key_of(secret: str) -> bytes:
    """The key that a signing secret writes."""
    assert secret.startswith("whsec_")
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


async def test_a_signing_secret_is_exchanged_with_two_for_a_while(path: Path) -> None:
    """The new one stands first, a third is refused, and the older is taken away; all of it stays
    over a restart, and the file that has them is its owner's alone."""
    async with desk_at(path) as desk:
        await desk.changes.add_client(SHOP, "ada")
        made: list[bytes] = []
        for count in (1, 2):
            client, secret = await desk.changes.add_signing_secret("shop", "ada")
            made.insert(0, key_of(secret))
            assert client.signing_secrets == tuple(made)
            assert (len(made), {len(key) for key in made}) == (count, {32})
        refused = await refusal(desk.changes.add_signing_secret("shop", "ada"))
        assert (refused.problem, "client secret rm shop" in refused.detail) == (
            Problem.NOT_POSSIBLE,
            True,
        )
    async with desk_at(path) as desk:
        assert desk.registry.clients["shop"] == replace(SHOP, signing_secrets=tuple(made))
        client = await desk.changes.remove_signing_secret("shop", "ada", last=False)
        assert client.signing_secrets == (made[0],)
    assert {each.stat().st_mode & 0o077 for each in path.parent.glob(f"{path.name}*")} == {0}


async def test_the_last_signing_secret_goes_by_a_word_of_its_own(path: Path) -> None:
    """Without it an application that verifies would refuse every call."""
    async with desk_at(path) as desk:
        await desk.changes.add_client(SHOP, "ada")
        for last in (False, True):
            refused = await refusal(desk.changes.remove_signing_secret("shop", "ada", last=last))
            assert refused.detail == "Calls of 'shop' are not signed."
        await desk.changes.add_signing_secret("shop", "ada")
        refused = await refusal(desk.changes.remove_signing_secret("shop", "ada", last=False))
        assert "`atomic client secret rm shop --last`" in refused.detail
        assert len(desk.registry.clients["shop"].signing_secrets) == 1
        await desk.changes.remove_signing_secret("shop", "ada", last=True)
        assert desk.registry.clients["shop"] == SHOP


async def test_signing_secrets_of_a_file_are_changed_in_the_file(path: Path) -> None:
    """Also where it has two, or none: which file it is, is what helps. Of nobody there is none."""
    async with desk_at(path) as desk:
        for secrets in ((), (b"a" * 32,), (b"a" * 32, b"b" * 32)):
            defined = replace(SHOP, signing_secrets=secrets, defined_in="/etc/shop.toml")
            desk.registry.set_defined([defined], [])
            for change in (
                desk.changes.add_signing_secret("shop", "ada"),
                desk.changes.remove_signing_secret("shop", "ada", last=True),
            ):
                assert "is defined in /etc/shop.toml" in (await refusal(change)).detail
        unknown = await refusal(desk.changes.add_signing_secret("nobody", "ada"))
        assert unknown.problem is Problem.NOT_FOUND
