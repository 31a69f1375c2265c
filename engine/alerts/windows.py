"""When somebody is told: at once, then rarely, then that it is over. Pure: times are arguments.

Of each rule and cause there is one *incident* from its beginning on. The first is told at once,
what comes within WINDOW_MS together and with its number, and then that it is over: of what happens
to runs when none came for WINDOW_MS, of what is looked at when it is no more. What begins again
within WINDOW_MS waits until that has passed, so that a host that comes and goes tells twice in that
time and not a hundred times.

In all PER_HOUR_MAX are sent within an hour, whatever goes wrong; what finds no room waits, and is
counted meanwhile. What came last goes first, and before what is over: after a night of a thousand
causes the one of this minute is told at once. What happens to runs leaves some for
the rest: those thousand must not keep a full disk from being told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from engine.alerts.rules import OF_ENGINE, Rule, Trouble

WINDOW_MS = 900_000
HOUR_MS = 3_600_000
PER_HOUR_MAX = 20
KEPT_FOR_ENGINE = 5
"""Of these, for rules that are not of runs."""
INCIDENTS_MAX = 1_000
"""Further causes of what happens to runs are one for each rule: of so many nobody reads."""
REMEMBERED_MAX = 100
"""Incidents that are kept over a restart."""
OTHERS = "others"
_RANKS = {rule: rank for rank, rule in enumerate((
    Rule.DISK, Rule.HOST_DOWN, Rule.HOLD, Rule.LATE, Rule.PAUSED, Rule.FAILED, Rule.NEW_CAUSE,
))}  # fmt: skip


class Telling(StrEnum):
    """What an alert says of its incident."""

    FIRST = "first"
    AGAIN = "again"
    OVER = "over"


class Incident(Struct):
    """One trouble, from its beginning until it is over; times in milliseconds since the epoch."""

    latest: Trouble
    began_at: int
    last_at: int
    """When it happened last, or was last seen to be so."""
    id: str = ""
    """Of the first alert of it; empty: nobody was told yet."""
    count: int = 0
    """How many since it began; 0: it is over, and known only for when it was told last."""
    unsaid: int = 0
    """Of these, since the last alert."""
    said_at: int | None = None
    over_since: int | None = None
    """Of what is looked at: it is no more, and that was not told yet."""
    over_said_at: int | None = None

    @property
    def rule(self) -> Rule:
        """What it is about."""
        return self.latest.rule

    def end(self) -> None:
        """It is over."""
        self.id, self.count, self.unsaid, self.over_since = "", 0, 0, None


class Alert(Struct, frozen=True):
    """What is to be told now, until anything else changes."""

    telling: Telling
    incident: Incident
    further_at: int | None
    """There is no room for further ones until then; None: there is."""


class Remembered(Struct, frozen=True, rename="camel"):
    """What a restart leaves."""

    sent: tuple[int, ...] = ()
    incidents: tuple[Incident, ...] = ()


class Windows:
    """All incidents of one engine, and how many alerts of the last hour."""

    def __init__(self, remembered: Remembered | None = None, now: int = 0) -> None:
        """`now`: nothing that is remembered was later. A clock that was ahead when it was noted
        would silence alerts until then."""
        before = remembered or Remembered()
        self._sent = deque((at for at in before.sent if at <= now), maxlen=PER_HOUR_MAX)
        self._sent_of = deque([""] * len(self._sent), maxlen=PER_HOUR_MAX)
        """Of whose runs each was; a restart forgets it."""
        self._incidents = {(it.rule, it.latest.cause): _by(it, now) for it in before.incidents}

    # -- what is heard and seen ----------------------------------------------------------------

    def note(self, trouble: Trouble, now: int, count: int = 1) -> None:
        """It has happened, so often."""
        it = self._incident(trouble, now)
        if it.unsaid and it.latest.is_new:  # the first of those that are told
            trouble = replace(trouble, is_new=True)
        it.latest, it.last_at, it.over_since = trouble, now, None
        it.count += count
        it.unsaid += count

    def see(self, rule: Rule, found: Iterable[Trouble], now: int, *, ends: bool = True) -> None:
        """All that there is of a rule that is looked at. `ends`: what is not among it is over."""
        causes = set()
        for trouble in self._told_apart(found):
            causes.add(trouble.cause)
            it = self._incidents.get((rule, trouble.cause))
            if it is None or not it.count or it.over_since is not None:
                self.note(trouble, now, trouble.count)
            elif trouble.count > it.count:
                self.note(trouble, now, trouble.count - it.count)
            else:
                it.last_at = now
        if ends:
            for it in self._of(rule):
                if it.latest.cause not in causes:
                    self._ends(it, now)

    def _told_apart(self, found: Iterable[Trouble]) -> Iterator[Trouble]:
        """With one for all that there is no room for: what they have in common, and their sum."""
        others = None
        for it in found:
            if self._has_room_for((it.rule, it.cause)):
                yield it
            elif others is None:
                others = replace(it, cause=OTHERS)
            else:
                facts = dict(it.facts.items() & others.facts.items())
                others = replace(others, facts=facts, count=others.count + it.count)
        if others is not None:
            yield others

    def _has_room_for(self, key: tuple[Rule, str]) -> bool:
        is_few = len(self._incidents) < INCIDENTS_MAX
        return is_few or key[0] in OF_ENGINE or key in self._incidents

    def over(self, rule: Rule, causes: Iterable[str], now: int) -> None:
        """These are no more."""
        for cause in causes:
            if (it := self._incidents.get((rule, cause))) is not None and it.count:
                self._ends(it, now)

    def causes(self, rule: Rule) -> set[str]:
        """Those that go on."""
        return {it.latest.cause for it in self._of(rule)}

    def _of(self, rule: Rule) -> Iterator[Incident]:
        return (it for (its, _), it in self._incidents.items() if its is rule and it.count)

    def _ends(self, it: Incident, now: int) -> None:
        if it.over_since is None:
            it.over_since = now
        if not it.id:  # nobody was told that it began
            it.end()

    def _incident(self, trouble: Trouble, now: int) -> Incident:
        key = (trouble.rule, trouble.cause)
        if not self._has_room_for(key):
            key = (trouble.rule, OTHERS)
        it = self._incidents.get(key)
        if it is None:
            it = self._incidents[key] = Incident(trouble, now, now)
        elif not it.count:
            it.began_at = now
        return it

    # -- what is told --------------------------------------------------------------------------

    def next(self, now: int) -> Alert | None:
        """What is to be told now, the most urgent of it."""
        self._forget(now)
        room = PER_HOUR_MAX - len(self._sent)
        found = min(
            ((telling, it) for telling, it in self._due(now) if room > _kept_from(it.rule)),
            key=lambda each: self._urgency(*each),
            default=None,
        )
        if found is None:
            return None
        telling, it = found
        is_last = room - 1 <= _kept_from(it.rule)
        first_sent = self._sent[0] if self._sent else now
        return Alert(telling, it, first_sent + HOUR_MS if is_last else None)

    def _urgency(self, telling: Telling, it: Incident) -> tuple[int, bool, int, int, int]:
        """The least goes first. Clients take turns: one of a thousand causes silences no other."""
        rank = _RANKS[it.rule]
        if it.rule in OF_ENGINE:
            return (rank, telling is Telling.OVER, 0, 0, -it.last_at)
        told = self._sent_of.count(_client(it))
        return (len(_RANKS), telling is Telling.OVER, told, rank, -it.last_at)

    def said(self, alert: Alert, id: str, now: int) -> None:
        """It is recorded, under this id."""
        incident = alert.incident
        self._note_sent(now, _client(incident))
        if alert.telling is Telling.OVER:
            incident.over_said_at = now
            incident.end()
        else:
            incident.id = incident.id or id
            incident.said_at, incident.unsaid = now, 0

    def free_at(self, now: int) -> int | None:
        """When there is room for one that no rule asks for; None: now."""
        self._forget(now)
        return self._sent[0] + HOUR_MS if len(self._sent) == PER_HOUR_MAX else None

    def said_unasked(self, now: int) -> None:
        """One that no rule asks for is recorded."""
        self._note_sent(now, "")

    def _note_sent(self, now: int, client: str) -> None:
        self._sent.append(now)
        self._sent_of.append(client)

    def held_back(self, now: int) -> int:
        """Alerts that would be sent but for the limit of an hour."""
        self._forget(now)
        room = PER_HOUR_MAX - len(self._sent)
        return sum(room <= _kept_from(it.rule) for _, it in self._due(now))

    @property
    def going_on(self) -> int:
        """Incidents that are not over."""
        return sum(it.count > 0 for it in self._incidents.values())

    def latest(self, count: int) -> list[Incident]:
        """So many of those that are not over, that which happened last first."""
        going_on = (it for it in self._incidents.values() if it.count > 0)
        return sorted(going_on, key=lambda it: it.last_at, reverse=True)[:count]

    @property
    def sent_in_hour(self) -> int:
        """As of the last look."""
        return len(self._sent)

    def remember(self) -> Remembered:
        """What is kept over a restart: the latest, and of what was told first."""
        latest = sorted(self._incidents.values(), key=lambda it: (it.said_at or 0, it.last_at))
        return Remembered(tuple(self._sent), tuple(latest[-REMEMBERED_MAX:]))

    def _due(self, now: int) -> Iterator[tuple[Telling, Incident]]:
        for it in self._incidents.values():
            if it.count and (telling := _telling(it, now)) is not None:
                yield telling, it

    def _forget(self, now: int) -> None:
        while self._sent and self._sent[0] + HOUR_MS <= now:
            self._sent.popleft()
            self._sent_of.popleft()
        for key, it in list(self._incidents.items()):
            if not it.count and _passed(it.said_at, now) and _passed(it.over_said_at, now):
                del self._incidents[key]


def _telling(it: Incident, now: int) -> Telling | None:
    if it.over_since is not None:
        return Telling.OVER if _passed(it.over_said_at, now) else None
    if it.unsaid:
        if not _passed(it.said_at, now):
            return None
        return Telling.AGAIN if it.id else Telling.FIRST
    happens = it.rule in (Rule.FAILED, Rule.PAUSED)
    return Telling.OVER if happens and _passed(max(it.last_at, it.said_at or 0), now) else None


def _by(it: Incident, now: int) -> Incident:
    """An incident none of whose times is later."""
    return replace(
        it,
        began_at=min(it.began_at, now),
        last_at=min(it.last_at, now),
        said_at=None if it.said_at is None else min(it.said_at, now),
        over_since=None if it.over_since is None else min(it.over_since, now),
        over_said_at=None if it.over_said_at is None else min(it.over_said_at, now),
    )


def _passed(at: int | None, now: int) -> bool:
    return at is None or now >= at + WINDOW_MS


def _kept_from(rule: Rule) -> int:
    """How much of the hour's room this rule must leave."""
    return 0 if rule in OF_ENGINE else KEPT_FOR_ENGINE


def _client(it: Incident) -> str:
    return str(it.latest.facts.get("client", ""))
