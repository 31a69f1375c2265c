"""The palette: every command of the view, found by a part of its name or of what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from tui.act.change.act import Acting, Meant
from tui.keys import Command, of_view, shown_key


class Offered(NamedTuple):
    """What can be chosen, and what does it."""

    commands: Sequence[Command]
    view: str
    themes: Sequence[str]
    acting: Acting
    run: Callable[[str, str], None]
    """Does a command, with what is typed behind it."""
    begin: Callable[[str], None]
    """Begins the line of a command that takes something behind it."""


def palette(offered: Offered) -> CommandPalette:
    """The palette of what is seen now. What changes the engine is done to what is under the cursor
    now, whatever happens to the list meanwhile."""
    meant = offered.acting.meant()

    class CommandProvider(Provider):
        """The commands of the one table, and the themes."""

        async def discover(self) -> Hits:
            for name, text, run in _entries_for(offered, meant):
                yield DiscoveryHit(name, run, help=text)

        async def search(self, query: str) -> Hits:
            matcher = self.matcher(query)
            for name, text, run in _entries_for(offered, meant):
                score = max(matcher.match(name), matcher.match(text) * 0.8)
                if score > 0:
                    yield Hit(score, matcher.highlight(name), run, help=text)

    return CommandPalette(providers=[CommandProvider], placeholder="a command, or what it does")


Entry = tuple[str, str, Callable[[], None]]


def _entries_for(offered: Offered, meant: Meant) -> Iterator[Entry]:
    acting = offered.acting
    for command in of_view(offered.commands, offered.view):
        if command.id == "palette":
            continue
        why = acting.why_not(command, meant) if command.writes else ""
        key = shown_key(command.keys) if command.keys else f":{command.id}"
        text = f"{key}  {f'not now: {why}' if why else command.help}"
        name = acting.label(command) if command.writes else command.label
        yield name, text.replace("[", "\\["), partial(_run_command, offered, command, meant)
    for theme in offered.themes:
        yield f"Theme: {theme}", "another look", partial(offered.run, "theme", theme)


def _run_command(offered: Offered, command: Command, meant: Meant) -> None:
    if command.writes:
        offered.acting.carry_out(command, meant)
    elif command.argument and command.id != "filter":
        offered.begin(f"{command.id} ")
    else:
        offered.run(command.id, "")
