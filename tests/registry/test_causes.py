"""What is said of causes: kept, bounded, and told to who sees the same runs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import Note
from engine.core.rules.note import NOTE_BYTES_MAX, NOTES_MAX
from engine.ports.receipt import Receipt
from engine.ports.registry import Registered
from engine.registry import causes
from engine.registry.causes import Dismissal, SaidOfCauses

ADA, CAUSE = Actor("ada"), "92d9401c"


class Shelf:
    """A store that keeps what is registered, and is its own receipt: all of it is durable."""

    durable = True

    def __init__(self) -> None:
        self.kept: dict[str, Registered] = {}
        self.known: frozenset[str] = frozenset()

    @property
    def registered(self) -> tuple[Registered, ...]:
        return tuple(self.kept.values())

    def register(self, entry: Registered) -> Receipt:
        self.kept.pop(entry.name, None)
        if entry.value is not None:
            self.kept[entry.name] = entry
        return self

    async def wait(self) -> None:
        """It is."""

    async def wait_unless_away(self) -> bool:
        return True

    async def needed(self, among: Iterable[str]) -> frozenset[str]:
        return self.known & {*among}

    def opened(self, now: int = 7) -> SaidOfCauses:
        """As after a start."""
        return SaidOfCauses(self, lambda: now, self.needed)


async def test_notes_are_there_after_a_start_and_until_they_are_taken_back() -> None:
    """In their order; the numbers of those behind it move up."""
    shelf = Shelf()
    for text in ("one", "two", "three"):
        await shelf.opened().note(CAUSE, None, text, ADA)
    assert await shelf.opened().take_back(CAUSE, None, 2, ADA) == Note(7, "ada", "two")
    it = shelf.opened()
    assert [note.text for note in it.notes_of(CAUSE, None)] == ["one", "three"]
    for number in (0, 3):
        with pytest.raises(Refused) as error:
            await it.take_back(CAUSE, None, number, ADA)
        assert error.value.problem is Problem.NOT_FOUND
    for _ in range(2):
        await it.take_back(CAUSE, None, 1, ADA)
    assert shelf.kept == {}


async def test_each_client_has_its_own_and_who_sees_all_has_theirs() -> None:
    """Nobody learns of another's."""
    shelf = Shelf()
    for client in (None, "shop", "cafe"):
        await shelf.opened().note(CAUSE, client, f"of {client}", ADA)
    it = shelf.opened()
    for client in (None, "shop", "cafe"):
        assert [note.text for note in it.notes_of(CAUSE, client)] == [f"of {client}"]
    assert it.notes_of(CAUSE, "other") == it.notes_of("00000000", None) == ()


async def test_how_long_and_how_many() -> None:
    """At the limit it is kept, one beyond is refused and nothing changes."""
    it = Shelf().opened()
    await it.note(CAUSE, None, "ü" * (NOTE_BYTES_MAX // 2), ADA)
    with pytest.raises(Refused) as error:
        await it.note(CAUSE, None, "ü" * (NOTE_BYTES_MAX // 2) + "x", ADA)
    assert (error.value.problem, error.value.members["member"]) == (Problem.INVALID_REQUEST, "text")
    for n in range(1, NOTES_MAX):
        await it.note(CAUSE, None, f"{n}", ADA)
    with pytest.raises(Refused) as error:
        await it.note(CAUSE, None, "one more", ADA)
    assert error.value.problem is Problem.NOT_POSSIBLE
    assert len(it.notes_of(CAUSE, None)) == NOTES_MAX


async def test_of_how_many_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes that is over; while all go on the next is refused. Another client's count for
    themselves."""
    monkeypatch.setattr(causes, "SAID_OF_MAX", 2)
    shelf = Shelf()
    it = shelf.opened()
    await it.note("a", "shop", "so", ADA)
    for cause in ("a", "b"):
        await it.note(cause, None, "so", ADA)
    shelf.known = frozenset({"a", "b"})
    with pytest.raises(Refused) as error:
        await it.note("c", None, "so", ADA)
    assert (error.value.problem, error.value.members["limit"]) == (Problem.NOT_POSSIBLE, "causes")
    await it.note("a", None, "again", ADA)  # it is one of them
    shelf.known = frozenset({"b"})
    await shelf.opened().note("c", None, "so", ADA)
    assert sorted(shelf.kept) == ["a/shop", "b", "c"]


async def test_a_dismissal_is_there_after_a_start_and_until_it_is_taken_back() -> None:
    """The latest counts; beside notes, which stay."""
    shelf = Shelf()
    await shelf.opened().note(CAUSE, None, "so", ADA)
    await shelf.opened(8).dismiss(CAUSE, None, "known", 50, ADA)
    await shelf.opened(9).dismiss(CAUSE, None, "ticket 4711", 60, ADA)
    it = shelf.opened()
    assert dict(it.dismissals(None)) == {CAUSE: Dismissal(9, "ada", "ticket 4711", 60)}
    assert (await it.undismiss(CAUSE, None, ADA)).reason == "ticket 4711"
    assert shelf.opened().dismissals(None) == it.dismissals(None) == {}
    assert [note.text for note in it.notes_of(CAUSE, None)] == ["so"]
    with pytest.raises(Refused) as error:
        await it.undismiss(CAUSE, None, ADA)
    assert error.value.problem is Problem.NOT_FOUND
    await it.take_back(CAUSE, None, 1, ADA)
    assert shelf.kept == {}


def test_what_got_stuck_later_has_come_again() -> None:
    """And nothing that was there when it was seen."""
    dismissal = Dismissal(9, "ada", "known", 50)
    assert [dismissal.came_again(at) for at in (49, 50, 51)] == [False, False, True]


async def test_each_client_dismisses_for_itself_and_who_sees_all_for_those() -> None:
    """What one team has seen to, another still has to."""
    it = Shelf().opened()
    await it.dismiss(CAUSE, "shop", "known", 50, ADA)
    assert (set(it.dismissals("shop")), it.dismissals("cafe"), it.dismissals(None)) == (
        {CAUSE}, {}, {},
    )  # fmt: skip


async def test_how_long_the_reason_of_a_dismissal_is() -> None:
    """As a note: at the limit it is kept; one beyond, or none, is refused and nothing changes."""
    it = Shelf().opened()
    await it.dismiss(CAUSE, None, "ü" * (NOTE_BYTES_MAX // 2), 50, ADA)
    for reason in ("ü" * (NOTE_BYTES_MAX // 2) + "x", " "):
        with pytest.raises(Refused) as error:
            await it.dismiss(CAUSE, None, reason, 60, ADA)
        assert error.value.members["member"] == "reason"
    assert it.dismissals(None)[CAUSE].last_at == 50
