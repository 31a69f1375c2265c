"""A run as one file: for a ticket, or for who has no access. No script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.core.errors import Problem, Refused
from engine.front.access.who import Who
from engine.front.api import read
from engine.front.server.reply import Reply
from engine.front.show.bodies import OPERATORS
from engine.front.ui.bodies import Read, first_part
from engine.front.ui.lines import worth_most
from engine.front.ui.run import members_of, outline_of
from engine.front.ui.site import HEADERS, HTML, Site, TooLong, asset_text
from engine.process.budget import Charge
from engine.process.costly import TurnPlaces
from engine.shown.numbers import size
from engine.wire.routes import UI_PAYLOAD

FILE_BYTES_MAX = 5 << 20
BODIES_CHARACTERS_MAX = FILE_BYTES_MAX // 2
"""Of all payloads and answers together, before they are marked up: no more are read then."""
ROWS_MAX = 2_000
"""Lines of the tree, before some are left out for the size."""
BODIES_OF_MAX = 100
"""Steps of which payload and answer are in the file."""
BODY_BYTES_MAX = 16_384
"""Of each."""
AT_ONCE_MAX = 2
TURN_WAIT_S_MAX = 20.0
"""How long it is waited for one's turn to have one made."""
ROOM_WAIT_S_MAX = 5.0
"""Then for room for it, while others wait for theirs."""
RETRY_AFTER_S = 5


class KeptBody(Struct, frozen=True):
    """A payload or an answer in the file."""

    what: str
    about: str
    text: list[list[str]]


class File(Struct, frozen=True):
    """What the templates are to know of it."""

    style: str
    bodies: dict[str, list[KeptBody]]
    left_out: list[str]


class Exports:
    """Makes them: one at a time, and one more for who has none, as one takes a multiple of its own
    bytes. What is made has room in memory until it is sent."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._turns = TurnPlaces(1, AT_ONCE_MAX)

    async def run_file(self, who: Who, id: str, query: Mapping[str, str]) -> Reply:
        """`/ui/runs/ID/file`; with payloads and answers (`bodies=yes`) for who may see these.
        Raises Refused."""
        wants = query.get("bodies") == "yes"
        if wants and not UI_PAYLOAD.opens_to(who.role):
            detail = f"Payloads and answers need the role {UI_PAYLOAD.role}; yours is {who.role}."
            raise Refused(Problem.FORBIDDEN, detail)
        owner = who.token or OPERATORS
        with trio.move_on_after(TURN_WAIT_S_MAX) as scope:
            await self._turns.take(owner)
        if scope.cancelled_caught:
            detail = "Files of other runs are being made: ask again in a moment."
            raise Refused(Problem.RATE_LIMITED, detail, retryAfter=RETRY_AFTER_S)
        try:
            reply = await _made(self._site, who, id, wants=wants)
            return replace(reply, room=await self._room(len(reply.body)))
        finally:
            self._turns.give_back(owner)

    async def _room(self, size: int) -> Charge | None:
        """None: a small one takes none, as everywhere. Raises Refused."""
        budget = self._site.front.engine.budget
        if size <= budget.small_bytes_max:
            return None
        with trio.move_on_after(ROOM_WAIT_S_MAX):
            return await budget.replies.wait(OPERATORS, size)
        detail = "There is no room in memory for the file now: ask again in a moment."
        limit = "memory_bytes_max"
        raise Refused(Problem.OVERLOADED, detail, limit=limit, retryAfter=RETRY_AFTER_S)


async def _made(site: Site, who: Who, id: str, *, wants: bool) -> Reply:
    """Raises Refused."""
    found = await outline_of(site, who, id)
    members = await members_of(site, found, {}, ROWS_MAX)
    rows = members["rows"]
    bodies = await _bodies(site, who, rows) if wants else {}
    style = asset_text("ui.css")
    while True:
        left_out = _left_out(found.run.steps, rows, bodies, wants=wants)
        members |= {"rows": rows, "file": File(style, bodies, left_out)}
        try:
            page = await site.html("file", who, members, FILE_BYTES_MAX)
            break
        except TooLong:
            if not rows:
                raise  # its head alone has some 100 lines at most
            rows, bodies = (rows, {}) if bodies else (_half(rows), bodies)
    name = f"{found.run.id}.html"
    kept = ("content-disposition", f'attachment; filename="{name}"')
    return Reply(200, (HTML, *HEADERS, kept), page)


def _half(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was done by hand is the last to be left out."""
    return worth_most(rows, len(rows) // 2, lambda row: "step" in row and bool(row["step"].by_hand))


async def _bodies(site: Site, who: Who, rows: list[dict[str, Any]]) -> dict[str, list[KeptBody]]:
    """By step."""
    steps = [row["step"].id for row in rows if "step" in row][:BODIES_OF_MAX]
    found: dict[str, list[KeptBody]] = {}
    kept = 0
    for step_id in steps:
        its_own: list[KeptBody] = []
        payload: Read = partial(_payload, site, who, step_id)
        answer: Read = partial(_answer, site, who, step_id)
        for what, its in (("Payload", payload), ("Last answer", answer)):
            try:
                part = await first_part(site, its, BODY_BYTES_MAX)
            except Refused as error:
                if error.problem is Problem.OVERLOADED:
                    return found  # there is no room just now, and would be waited for each time
                continue  # it was not recorded
            if part.text is not None:
                kept += sum(len(piece) for line in part.text for piece in (*line, "\n"))
                its_own.append(KeptBody(what, part.about, part.text))
        if kept > BODIES_CHARACTERS_MAX:
            break
        if its_own:
            found[step_id] = its_own
    return found


async def _payload(site: Site, who: Who, step_id: str, byte_range: str | None) -> Reply:
    return await read.payload(site.front, who, step_id, {}, byte_range)


async def _answer(site: Site, who: Who, step_id: str, byte_range: str | None) -> Reply:
    return await read.response(site.front, who, step_id, None, {}, byte_range)


def _left_out(
    steps: int, rows: list[dict[str, Any]], bodies: Mapping[str, object], *, wants: bool
) -> list[str]:
    """What is not in the file, in sentences."""
    shown = sum("step" in row for row in rows)
    found = []
    if shown < steps:
        found.append(f"Left out: {steps - shown:,} of {steps:,} steps.")
    if not wants:
        found.append("Left out: payloads and answers.")
    elif len(bodies) < shown:
        found.append(f"Left out: payloads and answers of {shown - len(bodies):,} steps.")
    if bodies:
        found.append(f"Of each payload and answer there are {size(BODY_BYTES_MAX)} at most.")
    return found
