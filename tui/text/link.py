"""A run, or a step of it, as a link: `ID#STEP`, a command for a shell, the address of its page."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple
from urllib.parse import quote

from engine import DEFAULT_ENGINE

RUN_ID_CHARACTERS = 26
"""Of a ULID. The id of a step below the root begins with that of its run, and a `-`."""
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~:/%\[\]-]+")


class Place(NamedTuple):
    """What a link leads to."""

    run: str
    """Its id, or as typed: the end of one."""
    step: str = ""
    """Its id, or as typed: its name. Empty: the run itself."""

    @classmethod
    def of(cls, text: str) -> Place:
        """What was typed: `ID`, `ID#STEP`, or the id of a step alone."""
        run, _, step = text.strip().partition("#")
        if not step and run[RUN_ID_CHARACTERS : RUN_ID_CHARACTERS + 1] == "-":
            return cls(run[:RUN_ID_CHARACTERS], run)
        return cls(run.strip(), step.strip())

    @classmethod
    def at(cls, run: str, step: str) -> Place:
        """A step of a run, by their ids: of the root there is nothing to say."""
        return cls(run, "" if step == run else step)

    def __str__(self) -> str:
        return f"{self.run}#{self.step}" if self.step else self.run

    def is_whole(self) -> bool:
        """Whether a run is named that one need not have seen."""
        return len(self.run) == RUN_ID_CHARACTERS and self.run.isascii() and self.run.isalnum()


def command(place: Place, engine: str) -> str:
    """Opens it in a dashboard. `engine` is its address, without a password in it."""
    where = [] if engine.rstrip("/") == DEFAULT_ENGINE else [engine]
    return shlex.join(["atomic", "tui", *where, "--run", str(place)])


def address(place: Place, pages_url: str) -> str | None:
    """Of its page. `pages_url` is what the addresses of pages begin with; None: it is empty, or has
    what a shell might obey. The query is for a step that is folded there, which the fragment alone
    does not find."""
    if not _PLAIN_URL.fullmatch(pages_url):
        return None
    found = f"{pages_url}/runs/{quote(place.run, safe='')}"
    step = quote(place.step, safe="")
    return f"{found}?step={step}#{step}" if step else found
