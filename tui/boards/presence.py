"""Who else looks, and who has just acted: on the top line, on rows of lists, and on the page of a
run."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, product

from engine.client import Action
from engine.shown import times
from engine.shown.said import who_text
from engine.wire import Status
from engine.wire.events import Acted
from tui.boards.cells import Piece
from tui.boards.held import NAME_CELLS
from tui.data.inputs import LinkState
from tui.data.model import Happening, short_id
from tui.data.store import OF_A_JOB, Store
from tui.text import fmt, sanitize
from tui.text.sanitize import clip, width

ACTED_LATELY_MS = 60_000
"""What somebody did to a run before that is not why it has moved on."""
ACT_TOLD_MS = 15_000
"""So long the top line tells what another has done, and a row of a list what was done to it."""
EVENTS_LOOKED_AT = 2_000
NAMED_MAX = 2
"""Of more who look it is said how many there are."""
PAST: dict[str, str] = {
    Action.RETRY: "retried",
    Action.PAUSE: "paused",
    Action.RESUME: "resumed",
    Action.CANCEL: "cancelled",
    Action.RERUN: "running again",
    Action.DISMISS: "dismissed",
    Action.UNDISMISS: "back on the list",
    Action.RETARGET: "retargeted",
    Action.SET_RESULT: "result set",
    Action.SKIP: "skipped",
    Action.NOTE: "noted",
}
"""What has become of something by an action."""


def last_act(
    store: Store, is_meant: Callable[[Happening, Acted], bool], within_ms: int = ACTED_LATELY_MS
) -> Happening | None:
    """The latest action of those that are meant, if it was lately."""
    now = store.time.now_ms()
    for event in islice(reversed(store.events), EVENTS_LOOKED_AT):
        if now - event.at > within_ms:
            return None
        if isinstance(event.fact, Acted) and is_meant(event, event.fact):
            return event
    return None


def act_text(store: Store, event: Happening, *, short: bool = False) -> str:
    """`retried by ana@laptop 0.4s ago`; `short`: `retried by ana 0.4s ago`."""
    assert isinstance(event.fact, Acted)
    word, who = _act_of(event.fact)
    passed = max(0.0, store.time.now_ms() - event.at)
    name = fmt.without_machine(who) if short else who
    return f"{word} by {name} {times.took(passed)} ago"


def _act_of(fact: Acted) -> tuple[str, str]:
    """What has become of it, and by whom."""
    word = sanitize.safe(fact.action or "")
    return PAST.get(word, word), who_text(fact.actor or "somebody")


def act_on_run(store: Store, run_id: str, *, short: bool = False) -> str:
    """What somebody has just done to a run or a step of it; empty: nobody has."""
    event = last_act(store, lambda event, _: event.run_id == run_id)
    if event is None:
        return ""
    named = store.named(event.step_id)
    step = "" if event.is_root else f"{'a step' if named is None else named.name} "
    return step + act_text(store, event, short=short)


def acts_lately(store: Store) -> dict[str, tuple[str, str]]:
    """By step, what somebody has just done to it, and by run to it or a step of it: `retried by ana
    4.0s ago`, and for a few cells `by ana 4s`."""
    now, found = store.time.now_ms(), dict[str, tuple[str, str]]()
    for event in islice(reversed(store.events), EVENTS_LOOKED_AT):
        if now - event.at > ACT_TOLD_MS:
            break
        if isinstance(event.fact, Acted):
            word, who = _act_of(event.fact)
            by = f"by {fmt.without_machine(who.partition(OF_A_JOB)[0])}"
            passed = max(0.0, now - event.at)
            told = f"{word} {by} {times.took(passed)} ago"
            for id in (event.run_id, event.step_id):
                found.setdefault(id, (told, f"{by} {passed // 1_000:.0f}s"))
    return found


def own_name(status: Status, actor: str) -> str:
    """As whom the engine knows whoever looks: as it names those who act."""
    if status.token is None:
        return actor
    return f"{status.token.name} ({actor})" if actor else status.token.name


def presence(store: Store, actor: str, cells: int) -> list[Piece]:
    """What others have just done and who else looks, as much of it as there are cells for."""
    if store.link.state is not LinkState.LIVE or store.stale:
        return []
    me = own_name(store.status, actor)
    acts, looks = _act_of_another(store, me), _who_look(store.status, me)
    for told in (*product(acts, looks), *product(acts), *product(looks)):
        pieces = [Piece(f"{text}  ", "strong" if text in acts else "plain") for text in told]
        if pieces and sum(width(piece.text) for piece in pieces) <= cells:
            return pieces
    return []


def _act_of_another(store: Store, me: str) -> list[str]:
    """In words, ever shorter; none: nobody has acted."""

    def is_of_another(event: Happening, fact: Acted) -> bool:
        actor = fact.actor or ""
        return actor != me and OF_A_JOB not in actor

    event = last_act(store, is_of_another, ACT_TOLD_MS)
    if event is None:
        return []
    return [
        f"{short_id(event.run_id)} {act_text(store, event)}",
        f"{short_id(event.run_id)} {act_text(store, event, short=True)}",
        act_text(store, event, short=True),
    ]


def _who_look(status: Status, me: str) -> list[str]:
    """In words, ever shorter; none: nobody else does."""
    every = dict.fromkeys(row.actor for row in status.listeners or ())
    others = [who_text(name) for name in every if name != me]
    if not others:
        return []
    look, more = "looks" if len(others) == 1 else "look", len(others) - NAMED_MAX
    rest = f" and {more:,} more" if more > 0 else ""
    named, short = (
        ", ".join(clip(name, NAME_CELLS) for name in names)
        for names in (others[:NAMED_MAX], map(fmt.without_machine, others[:NAMED_MAX]))
    )
    return [
        f"{named}{rest} {look} too",
        f"{short}{rest} {look} too",
        f"{len(others):,} more {look}",
    ]
