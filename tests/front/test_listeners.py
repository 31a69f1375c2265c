"""Who listens to events: as long as they do, and no more are told than have room."""

from __future__ import annotations

from engine.front.access.listeners import LISTENERS_TOLD_MAX, Listeners
from engine.front.api.figures import listener_rows


def told(listeners: Listeners, client: str | None = None) -> list[str]:
    return [it.actor for it in listeners.told(client)]


def test_as_long_as_they_listen() -> None:
    """The latest first, also two of one name; given back twice is given back once."""
    listeners = Listeners()
    assert told(listeners) == []
    ana, again, bob = (listeners.begins(name, None, 7) for name in ("ana", "ana", "bob"))
    assert told(listeners) == ["bob", "ana", "ana"]
    ana.give_back()
    ana.give_back()
    assert told(listeners) == ["bob", "ana"]
    for each in (again, bob):
        each.give_back()
    assert (told(listeners), listeners.open) == ([], {})


def test_of_one_client() -> None:
    """Who sees one client is told of those alone that see only that one."""
    listeners = Listeners()
    for actor, client in (("all", None), ("mine", "shop"), ("other", "bank")):
        listeners.begins(actor, client, 1_700_000_000_000)
    assert told(listeners) == ["other", "mine", "all"]
    (row,) = listener_rows(listeners, "shop")
    assert (row.actor, row.client, row.since) == ("mine", "shop", "2023-11-14T22:13:20.000Z")


def test_so_many_are_told() -> None:
    """The latest ones."""
    listeners = Listeners()
    for number in range(LISTENERS_TOLD_MAX + 1):
        listeners.begins(str(number), None, number)
    assert told(listeners) == [str(number) for number in range(LISTENERS_TOLD_MAX, 0, -1)]
