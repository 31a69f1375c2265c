"""Which columns a board shows: those that fit, and what somebody chose."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Mapping

from tui.act.stage import Choice, Question, Stage
from tui.boards.rows import GRIDS

BY_WIDTH = "as there is room"
CHOICE_KEYS = "123456789" + string.ascii_lowercase
ONE_STAYS = "the only column that is shown stays"
PUT_AWAY = "-"


def choose(stage: Stage, seen: Callable[[], Collection[str]], at: int = 0) -> None:
    """Ask which columns are to be there, until no more is chosen: what is seen is put away, what is
    not comes, and others give way to it. `seen` has the keys of those that are on the screen."""
    looking, shown = stage.looking, seen()
    columns = GRIDS[looking.view]
    choices = [
        Choice(
            key,
            column.key,
            column.title,
            "shown" if column.key in shown else "hidden",
            ONE_STAYS if column.key in shown and len(shown) == 1 else "",
        )
        for key, column in zip(CHOICE_KEYS, columns, strict=False)
    ]
    told = "" if looking.wanted.get(looking.view) else "now"
    choices.append(Choice("0", BY_WIDTH, BY_WIDTH, told))

    def chosen(name: str) -> None:
        if not name:
            return
        if name == BY_WIDTH:
            looking.want_columns({})
        else:
            looking.want_columns({name: name not in shown})
        stage.redraw()
        choose(stage, seen, [choice.name for choice in choices].index(name))

    stage.ask(Question("Columns", choices=choices, cursor=at), chosen)


def wanted_of(said: Mapping[str, str]) -> dict[str, dict[str, bool]]:
    """What the file of settings says: by board the heads of columns, separated by commas, with a
    `-` before those that are never shown. Raises ValueError for what there is not."""
    found: dict[str, dict[str, bool]] = {}
    for board, text in said.items():
        if board not in GRIDS or board == "run":
            there = ", ".join(each for each in GRIDS if each != "run")
            raise ValueError(f"there is no board `{board}`. There are {there}.")
        keys = {column.title.casefold(): column.key for column in GRIDS[board]}
        found[board] = {}
        for word in filter(None, map(str.strip, text.casefold().split(","))):
            name = word.removeprefix(PUT_AWAY).strip()
            if name not in keys:
                there = ", ".join(keys)
                raise ValueError(f"{board} has no column `{name}`. It has {there}.")
            found[board][keys[name]] = not word.startswith(PUT_AWAY)
        if not any(found[board].get(key, True) for key in keys.values()):
            raise ValueError(f"{board} would have no column left.")
    return found
