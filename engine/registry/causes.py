"""What people say of a cause: notes, and that it is dismissed until it comes again.

A cause is no record of its own: it is what runs have in common. So what is said of it is
registered, for who sees all runs and for who sees those of one client apart: neither learns of the
other's.

A dismissal keeps when the latest run of the cause had got stuck, as it was seen. It has come again
when a run got stuck later, so nothing is written when it does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.errors import Problem, Refused
from engine.core.events import Actor
from engine.core.model import Note
from engine.core.rules.note import NOTES_MAX, check_note
from engine.ports.registry import KIND_CAUSE, Registered, RegistryStore

SAID_OF_MAX = 1_000
"""Causes of which something is said, for each who sees other runs. Beyond it the oldest goes for
which no run needs a person."""
Known = Callable[[Iterable[str]], Awaitable[frozenset[str]]]
"""Those of these causes for which runs need a person."""


class Dismissal(Struct, frozen=True, array_like=True):
    """That a cause needs nobody until it comes again."""

    at: int
    actor: str
    reason: str
    last_at: int
    """When the latest of its runs had got stuck."""

    def came_again(self, last_at: int) -> bool:
        """Whether it has, if the latest of its runs got stuck then."""
        return last_at > self.last_at


class Said(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is said of one cause."""

    notes: tuple[Note, ...] = ()
    dismissal: Dismissal | None = None


NOTHING = Said()
Key = tuple[str, str | None]
"""The cause, and the client of who says it; None: they see all."""
_decode = msgspec.json.Decoder(Said).decode


class SaidOfCauses:
    """Made once, by the composition root."""

    def __init__(self, store: RegistryStore, now: Callable[[], int], known: Known) -> None:
        self._store, self._now, self._known = store, now, known
        self._changing = trio.Lock()
        self._said: dict[Key, Said] = {}
        self._dismissals: dict[str | None, dict[str, Dismissal]] = {}
        """The same by whose they are: the status asks each second."""
        for entry in sorted(store.registered, key=lambda it: it.at):
            if entry.kind == KIND_CAUSE and entry.value is not None:
                cause, _, client = entry.name.partition("/")
                self._keep(cause, client or None, _decode(entry.value))

    def notes_of(self, cause: str, client: str | None) -> tuple[Note, ...]:
        """Its notes, for who sees the runs of this client, or (None) all."""
        return self._of(cause, client).notes

    def dismissals(self, client: str | None) -> Mapping[str, Dismissal]:
        """The causes that are dismissed for them, also those that have come again."""
        return self._dismissals.get(client, {})

    async def note(self, cause: str, client: str | None, text: str, actor: Actor) -> Note:
        """Write a note of it, durably. Raises Refused."""
        note = Note(self._now(), actor.name, check_note(text, "text"))
        async with self._changing:
            said = self._of(cause, client)
            if len(said.notes) >= NOTES_MAX:
                detail = f"The cause has {NOTES_MAX} notes already: take one back first."
                raise Refused(Problem.NOT_POSSIBLE, detail, limit="notes")
            await self._put(cause, client, replace(said, notes=(*said.notes, note)), actor)
        return note

    async def take_back(self, cause: str, client: str | None, number: int, actor: Actor) -> Note:
        """Remove its note of this number, counted from 1, durably. Raises Refused."""
        async with self._changing:
            said = self._of(cause, client)
            if not 1 <= number <= len(said.notes):
                raise Refused(Problem.NOT_FOUND, "The cause has no note of this number.")
            left = said.notes[: number - 1] + said.notes[number:]
            await self._put(cause, client, replace(said, notes=left), actor)
        return said.notes[number - 1]

    async def dismiss(
        self, cause: str, client: str | None, reason: str, last_at: int, actor: Actor
    ) -> Dismissal:
        """Dismiss it until a run gets stuck for it after `last_at`, durably; a dismissal takes the
        place of the one before. Raises Refused."""
        said_why = check_note(reason, "reason", "A dismissal")
        dismissal = Dismissal(self._now(), actor.name, said_why, last_at)
        async with self._changing:
            said = replace(self._of(cause, client), dismissal=dismissal)
            await self._put(cause, client, said, actor)
        return dismissal

    async def undismiss(self, cause: str, client: str | None, actor: Actor) -> Dismissal:
        """Take its dismissal back, durably. Raises Refused."""
        async with self._changing:
            said = self._of(cause, client)
            if said.dismissal is None:
                raise Refused(Problem.NOT_FOUND, "The cause is not dismissed.")
            await self._put(cause, client, replace(said, dismissal=None), actor)
        return said.dismissal

    def _of(self, cause: str, client: str | None) -> Said:
        return self._said.get((cause, client), NOTHING)

    async def _put(self, cause: str, client: str | None, said: Said, actor: Actor) -> None:
        if (cause, client) not in self._said:
            await self._make_room(client, actor)
        await self._register(cause, client, said, actor)

    async def _register(self, cause: str, client: str | None, said: Said, actor: Actor) -> None:
        name = cause if client is None else f"{cause}/{client}"
        value = None if said == NOTHING else msgspec.json.encode(said)
        entry = Registered(KIND_CAUSE, name, value, self._now(), actor.name)
        await self._store.register(entry).wait()
        self._keep(cause, client, said)

    def _keep(self, cause: str, client: str | None, said: Said) -> None:
        self._said.pop((cause, client), None)
        if said != NOTHING:
            self._said[cause, client] = said  # the latest stands last
        dismissals = self._dismissals.setdefault(client, {})
        dismissals.pop(cause, None)
        if said.dismissal is not None:
            dismissals[cause] = said.dismissal

    async def _make_room(self, client: str | None, actor: Actor) -> None:
        causes = [cause for cause, whose in self._said if whose == client]
        if len(causes) < SAID_OF_MAX:
            return
        known = await self._known(causes)
        over = next((cause for cause in causes if cause not in known), None)
        if over is None:
            detail = f"Of {SAID_OF_MAX:,} causes something is said, and all of them go on."
            raise Refused(Problem.NOT_POSSIBLE, detail, limit="causes")
        await self._register(over, client, NOTHING, actor)
