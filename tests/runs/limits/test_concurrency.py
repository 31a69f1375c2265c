"""Who gets the next free place: what has begun before what has not, and nobody never."""

from __future__ import annotations

from functools import partial

from engine.runs.limits.concurrency import NEW_ONE_IN, Places


def served(places: Places, rounds: int) -> list[str]:
    """Who is served, in order, when a place at a full host becomes free again and again."""
    order: list[str] = []

    def offer(name: str) -> bool:
        order.append(name)
        return places.take("h")

    assert places.take("h")
    for number in range(40):
        places.queue("h", "shop", partial(offer, f"new {number}"), new=True)
        places.queue("h", "shop", partial(offer, f"step {number}"), new=False)
    for _ in range(rounds):
        places.give_back("h")
    return order


def test_what_has_begun_goes_first() -> None:
    """Seven of eight places go to steps under way, in the order they came; one to a new run."""
    order = served(Places(1, 1), 16)
    new = [name for name in order if name.startswith("new")]
    assert new == ["new 0", "new 1"]
    assert order.index("new 1") - order.index("new 0") == NEW_ONE_IN
    steps = [name for name in order if name.startswith("step")]
    assert steps == [f"step {number}" for number in range(14)]


def test_everybody_is_served() -> None:
    """When no step waits any more, new runs get every place; then nobody queues."""
    places = Places(1, 1)
    order = served(places, 80)
    assert sorted(order) == sorted(f"{kind} {n}" for kind in ("new", "step") for n in range(40))
    assert places.queued == 0


def served_by_client(arrivals: list[tuple[str, bool]], rounds: int) -> list[str]:
    """Whose attempts are served, in order, at a host with one place; `True`: of a new run."""
    places, order = Places(1, 1), list[str]()

    def offer(name: str) -> bool:
        order.append(name)
        return places.take("h")

    assert places.take("h")
    for client, new in arrivals:
        places.queue("h", client, partial(offer, f"{client} {'new' if new else 'step'}"), new=new)
    for _ in range(rounds):
        places.give_back("h")
    return order


def test_clients_take_turns_on_a_host() -> None:
    """One whose flood waits already makes another, that comes last, wait for one place each time:
    new runs too, and what the other has that is new."""
    flood = [("flood", False)] * 500 + [("flood", True)] * 500
    late = [("shop", True), ("shop", True), ("shop", True), ("third", False)]
    order = served_by_client(flood + late, 12)
    assert [name.split()[0] for name in order] == [
        "flood", "shop", "third", "flood", "shop", "flood", "shop", *["flood"] * 5
    ]  # fmt: skip
    assert order.count("flood new") == 1, "of eight places of its own one is for its new runs"


def test_who_comes_again_takes_a_turn_like_others() -> None:
    """A client whose last attempt has just been served is behind those that wait longer."""
    places, order = Places(1, 1), list[str]()

    def offer(client: str, again: int) -> bool:
        order.append(client)
        if again:
            places.queue("h", client, partial(offer, client, again - 1), new=False)
        return places.take("h")

    assert places.take("h")
    for client in "abc":
        places.queue("h", client, partial(offer, client, 2), new=False)
    for _ in range(9):
        places.give_back("h")
    assert order == [*"abcabcabc"]
    assert places.queued == 0


def test_a_host_is_served_that_ended_all_beyond_the_limit() -> None:
    """A host's call ends while more are in flight in all than may be, as some that had hung count
    again: who waits there is served when there are fewer, though nothing more ends at that host."""
    places, served = Places(2, 1), list[str]()

    def offer() -> bool:
        served.append("b")
        return places.take("b")

    assert places.take("b")
    places.queue("b", "shop", offer, new=False)
    places.take_back("a")
    places.take_back("a")
    places.give_back("b")
    assert served == [], "two are in flight in all"
    places.give_back("a")
    assert (served, places.in_flight) == (["b"], 2)
