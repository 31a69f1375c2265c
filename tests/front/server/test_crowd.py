"""Who gives way, by a crowd of fakes: the rule held to one that looks at all, and what it costs."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from engine.front.server.crowd import ARRIVING_SHARE, LOOK_EVERY_S, TRIES_MAX, Crowd, Place


class Tokens:
    """Knows tokens: `shop.1` is one of the client `shop`."""

    def __init__(self, *good: bytes) -> None:
        self.good = set(good)
        self.looked = 0

    def token_of(self, authorization: bytes) -> bytes:
        """The good one in a header."""
        self.looked += 1
        return authorization if authorization in self.good else b""

    def owner_of(self, token: bytes) -> str | None:
        """Its client."""
        return token.decode().partition(".")[0] if token in self.good else None


class Fake:
    """A connection."""

    def __init__(self, crowd: Crowd, *, willing: bool = True) -> None:
        place = crowd.enter()
        assert place is not None
        self.place: Place = place
        self.state, self.since = "waits", trio.current_time()
        self.willing = willing
        self.asked = 0
        place.member = self

    def give_way(self) -> bool:
        """Asked to."""
        self.asked += 1
        return self.willing

    def stop(self) -> None:
        """Nothing to do."""

    def turn(self, state: str) -> None:
        """Tell the crowd."""
        self.state, self.since = state, trio.current_time()
        getattr(self.place, state)()


def the_one(fakes: list[Fake], tokens: Tokens, most: int) -> Fake | None:
    """Who is to go: the rule, by a look at all."""
    by_owner: dict[str | None, list[Fake]] = {}
    for fake in fakes:
        shown = fake.place.shown
        owner = None if shown is None else tokens.owner_of(shown)
        by_owner.setdefault(owner, []).append(fake)
    may_go = {
        owner: [it for it in its if it.state == "waits" or (owner is None and it.state == "stalls")]
        for owner, its in by_owner.items()
    }
    known = {owner: len(by_owner[owner]) for owner, its in may_go.items() if owner and its}
    strangers = by_owner.get(None, [])
    if may_go.get(None) and (not known or len(strangers) > most // ARRIVING_SHARE):
        return min(may_go[None], key=lambda it: it.since)
    if not known:
        return None
    return min(may_go[min(known, key=lambda it: (-known[it], it))], key=lambda it: it.since)


@pytest.mark.parametrize("seed", range(20))
async def test_it_is_whom_a_look_at_all_would_find(seed: int, mock_clock: MockClock) -> None:
    """Whatever came, was shown, began, stalled, ended and was taken away before."""
    rng, most = Random(seed), rng_most(seed)
    names = [b"shop.1", b"shop.2", b"forum.1", b"blog.1", b"blog.2"]
    tokens = Tokens(*names)
    crowd = Crowd(most, tokens)
    fakes: list[Fake] = []
    for _ in range(600):
        mock_clock.jump(LOOK_EVERY_S)
        if rng.random() < 0.02:
            tokens.good ^= {rng.choice(names)}
        if rng.random() < 0.4:
            full = len(crowd) == most
            goes = the_one(fakes, tokens, most) if full else None
            if full and goes is None:
                assert crowd.enter() is None
                continue
            fakes.append(Fake(crowd))
            if goes is not None:
                assert goes.place.gave_way
                fakes.remove(goes)
            assert not any(fake.place.gave_way for fake in fakes)
        elif fakes:
            fake = rng.choice(fakes)
            if rng.random() < 0.1:
                fake.place.leave()
                fakes.remove(fake)
            else:
                if fake.place.shown is None or rng.random() < 0.1:
                    fake.place.shows(rng.choice([*names, b"", b"unknown"]))
                fake.turn(rng.choice(["waits", "waits", "works", "stalls"]))
        assert len(crowd) == len(fakes)
    for fake in fakes:
        fake.place.leave()
    assert len(crowd) == 0
    assert not crowd.members


def rng_most(seed: int) -> int:
    """Small ones, and such where some may arrive."""
    return (3, 8, 2 * ARRIVING_SHARE)[seed % 3]


async def test_of_ten_thousand_one_is_asked(mock_clock: MockClock) -> None:
    """Not one more, and no token is read to find it: each is when it was shown, once."""
    most = 10_000
    tokens = Tokens(b"shop.1")
    crowd = Crowd(most, tokens)
    fakes = [Fake(crowd) for _ in range(most)]
    for fake in fakes:
        for _ in range(3):  # three requests
            if fake.place.shown != b"shop.1":
                fake.place.shows(b"shop.1")
            fake.turn("works")
            fake.turn("waits")
    assert tokens.looked == most
    for number in range(50):
        assert crowd.enter() is not None
        assert sum(fake.asked for fake in fakes) == number + 1
    assert tokens.looked == most


async def test_those_that_have_something_to_read_are_asked_once(mock_clock: MockClock) -> None:
    """So many for one that comes, and they keep their turn behind the others."""
    most = TRIES_MAX + 2
    crowd = Crowd(most)
    fakes = [Fake(crowd, willing=it > TRIES_MAX) for it in range(most)]
    assert crowd.enter() is None
    assert [fake.asked for fake in fakes] == [1] * TRIES_MAX + [0, 0]
    assert crowd.enter() is not None
    assert [fake.asked for fake in fakes] == [1] * (TRIES_MAX + 2)
    assert fakes[-1].place.gave_way


async def test_who_gave_way_counts_nowhere(mock_clock: MockClock) -> None:
    """Whatever its connection still says of it."""
    crowd = Crowd(1, Tokens(b"shop.1"))
    gone = Fake(crowd)
    here = Fake(crowd, willing=False)
    assert gone.place.gave_way
    gone.place.shows(b"shop.1")
    gone.turn("waits")
    gone.place.leave()
    assert len(crowd) == 1
    assert crowd.enter() is None
    assert (gone.asked, here.asked) == (1, 1)
