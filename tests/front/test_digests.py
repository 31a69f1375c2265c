"""Digests as they are shown: what is the same in a run, and nothing else."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import msgspec

from engine.core.events import Accepted, Paused, PayloadDiffered, PayloadSet, Replaced, ResultSet
from engine.core.model import PauseReason, StepSpec
from engine.front.api.events import OwnEvents, Told, event_frame
from engine.front.show.digests import Digests
from engine.ports.views import EventRecord

RECORDED = bytes(range(32))
SPEC = StepSpec("w", "k", "http://a/", "http://a/", "s", RECORDED)
FACTS = (
    Accepted(1, "s", None, SPEC, 0),
    Replaced(1, "s", SPEC, 1),
    PayloadDiffered(1, "s", RECORDED),
    PayloadSet(1, "s", "ada", "why", None, RECORDED),
    ResultSet(1, "s", "skip", 204, "ada", "why", None, RECORDED),
)


def test_nothing_that_is_shown_is_what_is_recorded() -> None:
    """In every fact that has one, wherever in it; all else of the fact stays as it was."""
    digests = Digests(b"secret")
    recorded = msgspec.json.encode(RECORDED).decode()
    told = msgspec.json.encode(digests.shown("r", RECORDED)).decode()
    for fact in FACTS:
        text = msgspec.json.encode(fact).decode()
        assert recorded in text
        members = msgspec.json.decode(text)
        digests.put_in(members, "r")
        assert members == msgspec.json.decode(text.replace(recorded, told))
        assert recorded not in msgspec.json.encode(members).decode()


async def test_no_stream_has_what_is_recorded() -> None:
    """Neither that of who sees everything nor that of who sees one client."""
    digests = Digests(b"secret")
    front: Any = SimpleNamespace(
        digests=digests,
        places=SimpleNamespace(hidden=lambda client, at: f"f-{at}"),
        engine=SimpleNamespace(memory=SimpleNamespace(client_of=lambda run_id: "shop")),
    )
    told = msgspec.json.encode(digests.shown("r", RECORDED))
    for fact in FACTS:
        record = EventRecord(1, 0, "r", "s", "running", 1, msgspec.json.encode(fact).decode())
        whole = event_frame("f", record, digests)
        own = await OwnEvents(front, "shop").frames(
            [Told(record, partial(event_frame, "f", digests=digests))]
        )
        for text in (whole, own):
            assert msgspec.json.encode(RECORDED) not in text
            assert told in text


def test_a_fact_without_one_stays_as_it_is() -> None:
    """Nothing is put where nothing was: neither of old records that lack it."""
    for fact in (Paused(1, "s", PauseReason.OPERATOR), PayloadSet(1, "s", "ada", "why", None)):
        members = msgspec.json.decode(msgspec.json.encode(fact))
        Digests(b"secret").put_in(members, "r")
        assert members == msgspec.json.decode(msgspec.json.encode(fact))


def test_what_is_the_same_is_told_in_one_run_alone() -> None:
    """By the file's secret: also after a restart, and not with a run or a file of one's own."""
    one = Digests(b"secret").shown("r", RECORDED)
    assert Digests(b"secret").shown("r", RECORDED) == one
    others = {
        Digests(b"secret").shown("r", RECORDED[::-1]),
        Digests(b"secret").shown("q", RECORDED),
        Digests(b"other").shown("r", RECORDED),
    }
    assert len(others | {one}) == 4
