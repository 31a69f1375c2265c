"""The palette: every command of the view, found by a part of its name or of what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from tui.keys import Command, of_view, shown_key
from tui.targets import Target

if TYPE_CHECKING:
    from tui.app import Dashboard


def palette(app: Dashboard) -> CommandPalette:
    """The palette of what is seen now. What changes the engine is done to what is under the cursor
    now, whatever happens to the list meanwhile."""
    targets = list(app.acting.targets())

    class Commands(Provider):
        """The commands of the one table, and the themes."""

        async def discover(self) -> Hits:
            for name, text, run in _entries(app, targets):
                yield DiscoveryHit(name, run, help=text)

        async def search(self, query: str) -> Hits:
            matcher = self.matcher(query)
            for name, text, run in _entries(app, targets):
                score = max(matcher.match(name), matcher.match(text) * 0.8)
                if score > 0:
                    yield Hit(score, matcher.highlight(name), run, help=text)

    return CommandPalette(providers=[Commands], placeholder="a command, or what it does")


Entry = tuple[str, str, Callable[[], None]]


def _entries(app: Dashboard, targets: Sequence[Target]) -> Iterator[Entry]:
    for command in of_view(app.commands, app.looking.view):
        if command.id == "palette":
            continue
        why = app.acting.why_not(command, targets) if command.writes else ""
        key = shown_key(command.keys) if command.keys else f":{command.id}"
        text = f"{key}  {f'not now: {why}' if why else command.help}"
        name = app.acting.label(command) if command.writes else command.label
        yield name, text.replace("[", "\\["), partial(_do, app, command, targets)
    for theme in sorted(app.available_themes):
        yield f"Theme: {theme}", "another look", partial(app.run_command, "theme", theme)


def _do(app: Dashboard, command: Command, targets: Sequence[Target]) -> None:
    if command.writes:
        app.acting.do(command, targets)
    elif command.argument and command.id != "filter":
        app.prompt.open("command", f"{command.id} ")
    else:
        app.run_command(command.id)
