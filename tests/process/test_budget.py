"""The budget of bytes: who gets room, who waits, and that all get it in the end."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
import trio
from trio.testing import MockClock

from engine.core.access.client import Client, ClientLimits
from engine.process.budget import Budget, Charge, Pool


class Shares:
    """Clients with a share each."""

    clients: Mapping[str, Client] = {}

    def __init__(self, **shares: float) -> None:
        self.limits = {name: ClientLimits(memory_share=it) for name, it in shares.items()}


def took(pool: Pool, owner: str, size: int, *, new: bool = False, client: str = "") -> Charge:
    charge = pool.take(owner, size, new=new, client=client)
    assert charge is not None
    return charge


class Taker:
    """Waits for room in a task, and notes when it has it."""

    def __init__(self, nursery: trio.Nursery, got: list[str], pool: Pool) -> None:
        self._nursery, self._got, self._pool = nursery, got, pool

    async def asks(
        self, name: str, owner: str, size: int, *, new: bool = False, client: str = ""
    ) -> None:
        """Ask, and let the others run."""

        async def wait() -> None:
            await self._pool.wait(owner, size, new=new, client=client)
            self._got.append(name)

        self._nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()


def test_nobody_takes_more_than_what_is_left_free() -> None:
    """One owner gets half, the next half of the rest: there is room for each that comes."""
    pool = Pool(16)
    for owner, most in (("a", 8), ("b", 4), ("c", 2), ("d", 1)):
        for _ in range(most):
            took(pool, owner, 1)
        assert pool.take(owner, 1) is None
    assert pool.used == 15


def test_an_empty_pool_has_room_for_anything() -> None:
    """No budget is too small: one at a time whatever it is, also beside what was not asked for."""
    pool = Pool(10)
    pool.small = 10
    charge = took(pool, "a", 1_000)
    assert pool.take("b", 1) is None
    charge.give_back()
    charge.give_back()  # once is once
    assert (pool.granted, pool.used) == (0, 10)
    took(pool, "b", 11)


def test_new_runs_leave_a_quarter_to_those_under_way() -> None:
    """What opens runs stops earlier than posts of runs."""
    pool = Pool(16)
    for owner in "abc":
        took(pool, owner, 4, new=True)
    assert pool.take("d", 4, new=True) is None
    took(pool, "d", 4)


async def test_who_waits_gets_room_in_turn(autojump_clock: MockClock) -> None:
    """First come first served for each owner; runs under way before new ones; nobody overtakes
    one that has nothing."""
    pool, got = Pool(8), list[str]()
    first = took(pool, "a", 4)
    async with trio.open_nursery() as nursery:
        taker = Taker(nursery, got, pool)
        await taker.asks("new", "n", 6, new=True)
        await taker.asks("b1", "b", 6)
        await taker.asks("b2", "b", 1)
        assert pool.waiting == 3
        assert pool.take("c", 1) is None, "b waits and has nothing"
        assert pool.take("b", 1) is None, "b waits already"
        first.give_back()
        await trio.testing.wait_all_tasks_blocked()
        assert got == ["b1"], "b2 does not fit beside it, and n waits its turn"
        assert pool.take("c", 1, new=True) is None, "n has nothing"
        took(pool, "c", 1)  # under way, it goes before n
        nursery.cancel_scope.cancel()
    assert pool.waiting == 0


async def test_who_stops_waiting_is_in_nobodys_way(autojump_clock: MockClock) -> None:
    """A waiter that is cancelled is forgotten, and those behind it are looked at again; one that
    is cancelled as it gets its room gives it back."""
    pool, got = Pool(8), list[str]()
    first = took(pool, "a", 2)
    async with trio.open_nursery() as nursery:
        taker = Taker(nursery, got, pool)
        leaving, late = trio.CancelScope(), trio.CancelScope()

        async def waits(scope: trio.CancelScope, size: int) -> None:
            with scope:
                await pool.wait("b", size)

        nursery.start_soon(waits, leaving, 7)
        await trio.testing.wait_all_tasks_blocked()
        await taker.asks("c", "c", 3)
        assert not got
        leaving.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert got == ["c"]
        nursery.start_soon(waits, late, 4)
        await trio.testing.wait_all_tasks_blocked()
        late.cancel()
        first.give_back()
        assert pool.granted == 3 + 4
        await trio.testing.wait_all_tasks_blocked()
        assert (pool.waiting, pool.granted) == (0, 3)


def test_a_client_takes_no_more_than_its_share() -> None:
    """Up to the share and not a byte beyond; others have what they had, and what comes back may be
    taken again. One body may be larger than the share, if nothing else is taken."""
    pool = Pool(100, Shares(shop=0.25))
    first = took(pool, "shop", 20, client="shop")
    took(pool, "shop", 5, client="shop")
    assert pool.of_client("shop") == 25
    assert pool.take("shop", 1, client="shop") is None
    assert pool.lacks_share("shop", "shop", 1)
    took(pool, "bank", 37, client="bank")
    assert (pool.of_client("bank"), pool.lacks_share("bank", "bank", 1)) == (0, False)
    first.give_back()
    took(pool, "shop", 20, client="shop")
    alone = Pool(100, Shares(shop=0.01))
    took(alone, "shop", 50, client="shop")
    assert alone.take("shop", 1, client="shop") is None


def test_within_a_share_hosts_leave_each_other_room() -> None:
    """A host that is stuck has half of its client's share, and not all of it: the next one still
    finds some."""
    pool = Pool(64, Shares(shop=0.25))
    for host, most in (("a", 8), ("b", 4), ("c", 2)):
        for _ in range(most):
            took(pool, host, 1, client="shop")
        assert pool.take(host, 1, client="shop") is None
        took(pool, host, 1, client="bank")


async def test_who_waits_for_a_share_keeps_nobody_else_back(autojump_clock: MockClock) -> None:
    """At the same host, or in front: others go on, and only its own wait behind it."""
    pool, got = Pool(100, Shares(shop=0.1)), list[str]()
    first = took(pool, "a", 6, client="shop")
    async with trio.open_nursery() as nursery:
        taker = Taker(nursery, got, pool)
        await taker.asks("large", "b", 8, client="shop")
        await taker.asks("behind", "b", 1, client="shop")
        assert pool.waiting_for_share == {"shop": 2}
        assert pool.take("c", 1, client="shop") is None, "b has nothing of shop's, and was first"
        took(pool, "b", 20, client="bank")
        took(pool, "b", 5)
        assert not got
        first.give_back()
        await trio.testing.wait_all_tasks_blocked()
        assert got == ["large"], "b has more of the share than is left of it"
        nursery.cancel_scope.cancel()
    assert (pool.waiting, pool.waiting_for_share) == (0, {})


@pytest.mark.parametrize("seed", range(20))
async def test_everybody_ends(seed: int, autojump_clock: MockClock) -> None:
    """Takers of any size, owner and rank, some cancelled: all get room, and all is given back.
    More than there is was only ever taken by one alone."""
    random, ended = Random(seed), list[int]()
    shares = Shares(x=0.01, y=0.3, a=0.3)
    pool = Pool(random.choice([1, 10, 40]), shares)

    async def takes(number: int) -> None:
        await trio.sleep(random.random() * 5)
        owner, size, new = random.choice("abcd"), random.randint(1, 12), random.random() < 0.4
        client = random.choice(["", owner, "x", "y"])
        with trio.move_on_after(random.choice([1.0, 1e6, 1e6])):
            charge = await pool.wait(owner, size, new=new, client=client)
            try:
                assert pool.granted <= max(pool.bytes_max, charge.size)
                if charge.sharer:
                    most = (shares.limits[client].memory_share or 0) * pool.bytes_max
                    assert pool.of_client(client) <= max(most, charge.size)
                await trio.sleep(random.random())
            finally:
                charge.give_back()
        ended.append(number)

    with trio.fail_after(1_000):
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(takes, number)
    assert len(ended) == 100
    assert (pool.granted, pool.waiting, pool._by_owner) == (0, 0, {})
    assert [pool.of_client(client) for client in shares.limits] == [0, 0, 0]


def test_the_parts_come_to_the_whole() -> None:
    """What all pools and the backlog may hold is the budget."""
    budget = Budget(8_000)
    parts = [pool.bytes_max for pool in budget.pools.values()]
    assert sum(parts) + budget.backlog_bytes_max == budget.bytes_max
