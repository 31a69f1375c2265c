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
        places.queue("h", partial(offer, f"new {number}"), new=True)
        places.queue("h", partial(offer, f"step {number}"), new=False)
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
