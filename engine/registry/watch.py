"""The files that define clients and tokens, read at the start and again while the engine runs.

So a new token, target or certificate needs no restart. A change is taken when two looks in a row
have found the same: a file that is half written, or that an editor has just renamed away, is left
alone until then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from engine.core.access.client import NAMES_TO_COME
from engine.process.toml import ConfigError
from engine.registry.files import Defined, Sources, read_files
from engine.registry.look import content_of
from engine.registry.registry import Registry

LOOK_EVERY_S = 3.0
"""A change is taken after the second look that finds it: within 10 s, with time to spare for a slow
disk."""

Log = Callable[..., None]
Offload = Callable[[Callable[[], "Defined | None"]], Awaitable["Defined | None"]]
"""Runs what waits for a disk."""


async def _in_a_thread(look: Callable[[], Defined | None]) -> Defined | None:
    """A stop does not wait for it: a disk elsewhere may be away."""
    return await trio.to_thread.run_sync(look, abandon_on_cancel=True)


class Files:
    """Made once, by the composition root, before anything is listened to or opened."""

    def __init__(self, sources: Sources, offload: Offload = _in_a_thread) -> None:
        """Raises ConfigError for the first that is bad: nothing was there before to go on with."""
        self._sources, self._offload = sources, offload
        self._held = read_files(sources)
        for bad in self._held.bad.values():
            raise ConfigError(bad.why)

    @property
    def define_any(self) -> bool:
        """Whether they define a client or a token."""
        return bool(self._held.clients or self._held.tokens)

    def give_to(self, registry: Registry) -> None:
        """Have the registry know what they define."""
        held = self._held
        registry.set_defined(held.clients, held.tokens, tuple(held.bad.values()))

    async def watch(
        self, registry: Registry, now: Callable[[], int], log: Log, warning: Log
    ) -> None:
        """Look at the files until cancelled, and have the registry know what changes.

        `now`: milliseconds since the epoch, UTC.
        """
        if self._sources == Sources():
            return
        seen: Defined | None = None
        twice: frozenset[str] = frozenset()
        to_come: frozenset[str] = frozenset()
        while True:
            twice = _tell_twice(registry, twice, warning)
            to_come = _tell_to_come(registry, to_come, warning)
            await trio.sleep(LOOK_EVERY_S)
            found = await self._offload(partial(self._look, now()))
            if found is not None and seen is not None and found.marks == seen.marks:
                before, self._held = self._held, found
                self.give_to(registry)
                _tell(before, found, log, warning)
                found = None
            seen = found

    def _look(self, now: int) -> Defined | None:
        """What the files define now, if any of them has changed."""
        if all(content_of(path).mark == mark for path, mark in self._held.marks.items()):
            return None
        return read_files(self._sources, self._held, now=now)


def _tell_twice(registry: Registry, told: frozenset[str], warning: Log) -> frozenset[str]:
    """A client that a command added as well is told once: its tokens are good still, and it would
    be back, with the targets of then, when its file is gone."""
    twice = frozenset(registry.defined_twice)
    for name in sorted(twice - told):
        warning(
            "client-defined-twice",
            client=name,
            file=registry.clients[name].defined_in,
            hint=f"the file's holds; `atomic client rm {name}` forgets the one that a command"
            " added, with its tokens",
        )
    return twice


def _tell_to_come(registry: Registry, told: frozenset[str], warning: Log) -> frozenset[str]:
    """A client with a name that the engine will need is told once. What defines it from before
    that is taken: else none of its open runs could go on."""
    found = NAMES_TO_COME & registry.clients.keys()
    for name in sorted(found - told):
        warning(
            "client-name-reserved",
            client=name,
            file=registry.clients[name].defined_in or None,
            hint="its open runs go on, and new ones are refused: post under another name",
        )
    return found


def _tell(before: Defined, now: Defined, log: Log, warning: Log) -> None:
    for bad in now.bad.values():
        warning("bad-file", file=bad.file, why=bad.why, hint="what it said before holds")
    for place in before.bad.keys() - now.bad.keys():
        log("file-mended", file=place)
    places = {**before.parts, **now.parts}
    if changed := [it for it in places if before.parts.get(it) != now.parts.get(it)]:
        marks = {**before.marks, **now.marks}
        files = [str(it) for it in marks if before.marks.get(it) != now.marks.get(it)]
        log(
            "files-read", changed=changed, files=files,
            clients=len(now.clients), tokens=len(now.tokens),
        )  # fmt: skip
    names = {**before.settings, **now.settings}
    if changed := [it for it in names if before.settings.get(it) != now.settings.get(it)]:
        warning("settings-changed", settings=changed, hint="they are taken at the next start")
