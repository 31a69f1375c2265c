"""Every key and command of the dashboard, once: bindings, footer, help, palette, `:` and the docs.

Lower case looks, and never changes the engine. The upper-case letters of `WRITES` do, and nothing
else does but `z`, which takes the last one back. `G` and `N` only move, as in vi.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

BOARDS = ("home", "runs", "retries", "causes", "hosts", "events", "jobs")
LISTS = frozenset(BOARDS)
MARKABLE = frozenset({"runs", "retries"})
DETAIL = frozenset({"run"})
EVERYWHERE = LISTS | DETAIL


class Group(StrEnum):
    """Where a command stands in the help."""

    GO = "Go"
    MOVE = "Move"
    SHOW = "Show"
    TIME = "In time"
    ACT = "Act on the engine"
    REST = "And"


class Command(NamedTuple):
    """Something that a person can ask for."""

    id: str
    """Its name for `:`, for the configuration of keys, and of the action."""
    keys: str
    """Separated by commas, as Textual spells them; empty: by `:` and palette alone."""
    label: str
    """For the footer, a word or two."""
    help: str
    group: Group
    views: frozenset[str] = EVERYWHERE
    footer: bool = False
    writes: bool = False
    argument: str = ""
    """What `:` takes behind the name."""


COMMANDS: tuple[Command, ...] = (
    Command("home", "0", "Home", "whether all is well, and else what is not", Group.GO),
    Command("runs", "1", "Runs", "the runs, the newest first", Group.GO),
    Command("retries", "2", "Retries", "what is tried next, and when", Group.GO),
    Command("causes", "3", "Stuck", "what needs a person, by cause", Group.GO),
    Command("hosts", "4", "Hosts", "the hosts that are called, and how they do", Group.GO),
    Command("events", "5", "Events", "what has just happened", Group.GO),
    Command("jobs", "6", "Jobs", "bulk jobs", Group.GO),
    Command("open", "enter", "Open", "a run, a row's runs, a board, a fold, an answer",
            Group.GO, footer=True),
    Command("back", "escape", "Back", "one layer back", Group.GO),
    Command("run", "", "Run", "a run by its id, or its end; ID#STEP: at a step", Group.GO,
            argument="id"),
    Command("down", "j,down", "Down", "one row down", Group.MOVE),
    Command("up", "k,up", "Up", "one row up", Group.MOVE),
    Command("half-down", "ctrl+d", "Half a page down", "half a page down", Group.MOVE),
    Command("half-up", "ctrl+u", "Half a page up", "half a page up", Group.MOVE),
    Command("page-down", "pagedown", "Page down", "a page down", Group.MOVE),
    Command("page-up", "pageup", "Page up", "a page up", Group.MOVE),
    Command("first", "g,home", "First", "the first row", Group.MOVE),
    Command("last", "G,end", "Last", "the last row", Group.MOVE),
    Command("next-problem", "n", "Next problem", "the next step that failed, is failing or paused",
            Group.MOVE, DETAIL, footer=True),
    Command("previous-problem", "N", "Previous problem", "the one before", Group.MOVE, DETAIL),
    Command("next-run", "right_square_bracket", "Next run", "the next run of the list",
            Group.MOVE, DETAIL),
    Command("previous-run", "left_square_bracket", "Previous run", "the run before",
            Group.MOVE, DETAIL),
    Command("collapse", "h,left", "Collapse", "hide the steps below, or go to the one above",
            Group.MOVE, DETAIL),
    Command("expand", "l,right", "Expand", "show the steps below, and list folded ones",
            Group.MOVE, DETAIL),
    Command("filter", "slash", "Filter", "which rows are listed", Group.SHOW,
            frozenset({"runs", "retries", "events", "run"}), footer=True, argument="filter"),
    Command("command", "colon", "Command", "any command by its name", Group.SHOW),
    Command("sort", "s", "Sort", "by another column; runs: newest or oldest first", Group.SHOW),
    Command("columns", "c", "Columns", "which columns the board shows", Group.SHOW,
            frozenset({"runs", "retries", "causes", "hosts", "events", "jobs"})),
    Command("follow", "f", "Follow", "stay at the newest row", Group.SHOW,
            frozenset({"runs", "events"})),
    Command("inspector", "i", "Inspector",
            "show or hide; tab goes there; a cause in whole", Group.SHOW,
            frozenset({"run", "causes"})),
    Command("dismissed", "m", "Dismissed", "list causes that were dismissed too, or no more",
            Group.SHOW, frozenset({"causes"})),
    Command("every-event", "m", "Every event", "all that happens; again: acts, failures, ends",
            Group.SHOW, frozenset({"events"}), footer=True),
    Command("chart", "t", "Chart", "show the chart, or the times of the attempts", Group.SHOW,
            DETAIL),
    Command("payload", "p", "Payload", "what the step was posted with", Group.SHOW, DETAIL,
            footer=True),
    Command("answer", "b", "Answer", "what its last attempt was answered", Group.SHOW, DETAIL,
            footer=True),
    Command("pager", "o", "Pager", "the last answer in $PAGER", Group.SHOW, DETAIL),
    Command("editor", "e", "Editor", "a copy of the last answer in $EDITOR", Group.SHOW, DETAIL),
    Command("copy", "y", "Copy", "the id, key, URL, a body or a curl command", Group.SHOW,
            EVERYWHERE - {"home"}),
    Command("export", "", "Export", "`export html`: the run as a file, to give away", Group.SHOW,
            frozenset({"runs", "run"}), argument="html"),
    Command("compare", "d", "Compare", "two marked runs: their steps, payloads, answers",
            Group.SHOW, frozenset({"runs"})),
    Command("mark", "space", "Mark", "mark the row", Group.SHOW, MARKABLE, footer=True),
    Command("mark-range", "v", "Mark range",
            "mark from here, or the last mark, to the cursor", Group.SHOW, MARKABLE),
    Command("mark-all", "a", "Mark all", "mark every row that was read", Group.SHOW, MARKABLE),
    Command("unmark", "u", "Clear marks", "take all marks away", Group.SHOW, MARKABLE),
    Command("earlier", "comma", "Earlier", "the run as it was, a moment back in its time",
            Group.TIME, DETAIL),
    Command("later", "full_stop", "Later", "a moment on, and at the end now", Group.TIME, DETAIL),
    Command("at", "", "At", "a run, or a recording, at a time: 03:12:07",
            Group.TIME, argument="time"),
    Command("wait", "w", "Wait", "a recording stands still, or goes on", Group.TIME),
    Command("minute-back", "left_parenthesis", "A minute back", "in a recording", Group.TIME),
    Command("minute-on", "right_parenthesis", "A minute on", "in a recording", Group.TIME),
    Command("slower", "less_than_sign", "Slower", "a recording: half as fast", Group.TIME),
    Command("faster", "greater_than_sign", "Faster", "a recording: twice as fast", Group.TIME),
    Command("retry", "R", "Retry now", "at once; of a failed run: open it again", Group.ACT,
            frozenset({"runs", "retries", "causes", "run"}), footer=True, writes=True),
    Command("pause", "P", "Pause", "no new attempt starts; again: resume", Group.ACT,
            frozenset({"runs", "retries", "run"}), footer=True, writes=True),
    Command("cancel", "C", "Cancel", "end it as cancelled", Group.ACT,
            frozenset({"runs", "retries", "run"}), footer=True, writes=True),
    Command("rerun", "E", "Re-run from here", "this step and what followed it run again",
            Group.ACT, DETAIL, writes=True),
    Command("dismiss", "D", "Dismiss",
            "off or on the list; a cause till it comes again",
            Group.ACT, frozenset({"runs", "causes", "run"}), footer=True, writes=True),
    Command("note", "W", "Note", "write a note of the run, or of the cause", Group.ACT,
            frozenset({"runs", "retries", "causes", "run"}), footer=True, writes=True,
            argument="text"),
    Command("retarget", "M", "Retarget", "move it to other URLs: asks from which to which",
            Group.ACT, frozenset({"runs", "run"}), writes=True),
    Command("set-result", "S", "Set result", "what came of the step, written in $EDITOR",
            Group.ACT, DETAIL, writes=True),
    Command("skip", "K", "Skip", "do without the step: it ends with no answer", Group.ACT, DETAIL,
            writes=True),
    Command("other-payload", "A", "Other payload", "run it all again with another, in $EDITOR",
            Group.ACT, DETAIL, writes=True),
    Command("hold", "H", "Hold", "a client, workflow or host; again: release it",
            Group.ACT, frozenset({"home", "runs", "retries", "causes", "hosts", "run"}),
            footer=True, writes=True),
    Command("abort", "X", "Abort job", "the job under the cursor, or the one that runs",
            Group.ACT, writes=True),
    Command("palette", "ctrl+p", "Palette", "any command, by a part of what it says", Group.SHOW),
    Command("menu", "x", "Actions", "what could be done here, and why not",
            Group.ACT),
    Command("undo", "z", "Undo", "take the last pause, resume or dismissal back",
            Group.ACT, writes=True),
    Command("resync", "r", "Read again", "read everything again, and connect if it is not",
            Group.REST),
    Command("help", "question_mark", "Help", "the keys of this view", Group.REST, footer=True),
    Command("theme", "", "Theme", "another look", Group.REST, argument="name"),
    Command("utc", "", "UTC", "times in UTC, or local again", Group.REST),
    Command("suspend", "ctrl+z", "Suspend", "to the shell; its `fg` comes back", Group.REST),
    Command("up-or-quit", "q", "Quit", "up, or out", Group.REST, footer=True),
    Command("quit", "ctrl+q", "Quit", "leave the dashboard", Group.REST),
)  # fmt: skip
CAME_LATER = frozenset({
    "home", "hold", "note", "columns", "dismissed", "every-event", "earlier", "later", "wait",
    "minute-back", "minute-on", "slower", "faster",
})  # fmt: skip
"""Their keys were free once: who has given one of them to something else keeps that."""
TYPED_BEHIND = frozenset({"filter", "command"})
"""They open the line at the foot: what is typed behind them goes there."""
BY_ID = {command.id: command for command in COMMANDS}
WRITES = frozenset(
    key for command in COMMANDS if command.writes for key in command.keys.split(",") if key
)


def shown_key(keys: str) -> str:
    """The first key of a command as people write it."""
    first = keys.partition(",")[0]
    return _SHOWN.get(first, first)


_SHOWN = {
    "escape": "esc", "slash": "/", "colon": ":", "question_mark": "?",
    "right_square_bracket": "]", "left_square_bracket": "[", "pagedown": "PgDn", "pageup": "PgUp",
    "comma": ",", "full_stop": ".", "left_parenthesis": "(", "right_parenthesis": ")",
    "less_than_sign": "<", "greater_than_sign": ">",
    "ctrl+d": "^d", "ctrl+u": "^u", "ctrl+q": "^q", "ctrl+p": "^p", "ctrl+z": "^z",
}  # fmt: skip


def of_view(commands: Iterable[Command], view: str) -> Iterator[Command]:
    """The commands that a view knows, in order."""
    return (command for command in commands if view in command.views)


def is_of_another(command: Command, view: str, commands: Iterable[Command]) -> bool:
    """Whether in this view its keys are another command's, so that this one is not meant."""
    if view in command.views:
        return False
    keys = {key for each in commands if each.id == command.id for key in each.keys.split(",")}
    return any(
        not keys.isdisjoint(filter(None, each.keys.split(","))) for each in of_view(commands, view)
    )


class BadKeys(ValueError):
    """Keys that cannot be what somebody wants them to be; the message says why."""


def remapped(keys: Mapping[str, str]) -> tuple[Command, ...]:
    """The commands with other keys: by the command's id, separated by commas, as Textual spells
    them or as they are typed (`]`, `?`).

    Raises BadKeys: for a command that there is not, for a key that two commands of one view would
    have, and where capitals would not be what changes the engine any more.
    """
    unknown = sorted(set(keys) - set(BY_ID))
    if unknown:
        raise BadKeys(f"There is no command `{unknown[0]}`. There are {', '.join(BY_ID)}.")
    spelled = {id: _spelled(BY_ID[id], wanted) for id, wanted in keys.items()}
    given = {key for each in spelled.values() for key in each.split(",")}
    found = tuple(
        command._replace(keys=spelled.get(command.id, "" if yields else command.keys))
        for command in COMMANDS
        for yields in (command.id in CAME_LATER and command.keys in given,)
    )
    for view in sorted(EVERYWHERE):
        taken: dict[str, Command] = {}
        for command in of_view(found, view):
            for key in filter(None, command.keys.split(",")):
                other = taken.setdefault(key, command)
                if other is not command:
                    shown = _SHOWN.get(key, key)
                    raise BadKeys(f"`{shown}` would be both {other.id} and {command.id}.")
    return found


def _spelled(command: Command, wanted: str) -> str:
    """The keys of a command as Textual spells them."""
    names = {shown: name for name, shown in _SHOWN.items()}
    keys = [names.get(key.strip(), key.strip()) for key in wanted.split(",")]
    for key in keys:
        capital = len(key) == 1 and key.isupper()
        if not re.fullmatch(r"[a-z0-9_+]+|[A-Z]", key):
            raise BadKeys(f"`{key}` is no key. It may be a character, f1, ctrl+t, pageup.")
        if command.writes and not capital and command.id != "undo":
            raise BadKeys(f"{command.id} changes the engine: its key is a capital, not `{key}`.")
        if capital and not command.writes and command.id not in ("last", "previous-problem"):
            raise BadKeys(f"{command.id} only looks: its key is no capital, as `{key}` is.")
    return ",".join(keys)


def why_not_here(command: Command, view: str) -> str:
    """Why a command does nothing in a view: where it is for."""
    where = [_PLACES[each] for each in (*BOARDS, "run") if each in command.views]
    told = " and ".join([", ".join(where[:-1]), where[-1]] if len(where) > 1 else where)
    return f"that is for {told}, not for {_PLACES[view]}"


_PLACES = {**{view: BY_ID[view].label for view in BOARDS}, "run": "the steps of a run"}


class NoCommand(Exception):
    """What was typed is none; the message says what there is."""


def parse_command(line: str) -> tuple[Command, str]:
    """A command typed behind `:`, and its argument. A beginning that fits one alone is enough, but
    not for what changes the engine.

    Raises NoCommand.
    """
    name, _, argument = line.strip().partition(" ")
    name = {"q": "quit", "f": "filter", "failed": "causes", "stuck": "causes", "bulk": "jobs"}.get(
        name, name
    )
    fitting = [BY_ID[name]] if name in BY_ID else [c for c in COMMANDS if c.id.startswith(name)]
    if not name or len(fitting) != 1:
        told = ", ".join(c.id for c in fitting) if fitting and name else ", ".join(BY_ID)
        what = "could be" if fitting and name else "is none of"
        raise NoCommand(f"`{name}` {what}: {told}.")
    if fitting[0].writes and fitting[0].id != name:
        raise NoCommand(f"`{fitting[0].id}` changes the engine: type its whole name.")
    if argument and not fitting[0].argument:
        raise NoCommand(f"`{fitting[0].id}` takes nothing behind it.")
    return fitting[0], argument.strip()
