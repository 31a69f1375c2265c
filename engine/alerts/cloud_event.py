"""An alert as what is posted: a CloudEvent 1.0 in its structured form, and what it says to people.

It is the whole body, without the envelope of a call: receivers of CloudEvents take it as it is.
What stands in it of runs has no payload, answer, key or header; texts are masked as in the log.
"""

from __future__ import annotations

import msgspec

from engine.alerts.rules import TEST_TYPE, TYPES, Facts, Rule
from engine.alerts.windows import PER_HOUR_MAX, WINDOW_MS, Alert, Incident, Telling
from engine.core.text.secrets import without_secrets
from engine.core.text.times import rfc3339

TEXT_CHARACTERS_MAX = 300
"""Of one member: errors of peers may be long."""
_MASKED = ("error", "excerpt", "reason", "why")
_encode = msgspec.json.Encoder().encode


def event_of(alert: Alert, id: str, source: str, now: int) -> bytes:
    """The event of an alert. `source`: names the engine's record."""
    it = alert.incident
    facts = {name: _masked(name, value) for name, value in it.latest.facts.items()}
    summary, until = _summary(alert.telling, it, facts), alert.further_at
    if until is not None:
        summary += (
            f" At most {PER_HOUR_MAX} alerts are sent in an hour: further ones wait until"
            f" {rfc3339(until)}."
        )
    data: dict[str, object] = {
        "summary": summary,
        "telling": alert.telling,
        "rule": it.rule,
        "cause": it.latest.cause,
        "incident": it.id or id,
        "since": rfc3339(it.began_at),
        "last": rfc3339(it.last_at),
        "count": it.count,
        "more": it.unsaid,
        **facts,
    }
    if it.latest.is_new and it.rule is not Rule.NEW_CAUSE and alert.telling is Telling.FIRST:
        data["newCause"] = True
    if until is not None:
        data["furtherAt"] = rfc3339(until)
    return _event(TYPES[it.rule], id, source, now, data, _subject(facts))


def trouble_of(it: Incident) -> str:
    """An incident that goes on, in the words of the first alert of it."""
    facts = {name: _masked(name, value) for name, value in it.latest.facts.items()}
    return _summary(Telling.FIRST, it, facts)


def test_event(id: str, source: str, now: int, actor: str) -> bytes:
    """One that somebody asked for, to see whether it comes."""
    return _event(TEST_TYPE, id, source, now, {"summary": "This is a test.", "actor": actor}, None)


def _event(
    type: str, id: str, source: str, now: int, data: dict[str, object], subject: str | None
) -> bytes:
    event: dict[str, object] = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "time": rfc3339(now),
        "datacontenttype": "application/json",
    }
    if subject:
        event["subject"] = subject
    return _encode(event | {"data": data})


def _subject(facts: Facts) -> str | None:
    """What it is about: `shop/createUser`, a host, or what is held."""
    if "workflow" in facts:
        return f"{facts['client']}/{facts['workflow']}"
    found = facts.get("host") or facts.get("held") or facts.get("directory")
    return None if found is None else str(found)


def _masked(name: str, value: str | int) -> str | int:
    if not isinstance(value, str) or name not in _MASKED:
        return value
    if len(value) > TEXT_CHARACTERS_MAX:
        # The last word may be the half of a secret, which nobody would know by that.
        value = f"{value[:TEXT_CHARACTERS_MAX].rpartition(' ')[0]} …"
    return without_secrets(value)


# --- what it says ------------------------------------------------------------------------------


def _summary(telling: Telling, it: Incident, facts: Facts) -> str:
    match it.rule:
        case Rule.FAILED:
            return _of_runs(telling, it, facts, "failed")
        case Rule.PAUSED:
            return _of_runs(telling, it, facts, "paused")
        case Rule.NEW_CAUSE:
            if telling is Telling.OVER:
                return f"No run of {_workflow(facts)} needs a person any more for this cause."
            return f"Runs of {_workflow(facts)} need a person, for a new cause{_why(facts)}."
        case Rule.LATE:
            if telling is Telling.OVER:
                return f"No run of {_workflow(facts)} is late any more."
            runs = _runs(it.count)
            if it.latest.at_least:
                runs = f"At least {runs[0].lower()}{runs[1:]}"
            return (
                f"{runs} of {_workflow(facts)} {_are(it.count)} open for longer than"
                f" {facts['afterS']} s."
            )
        case Rule.HOST_DOWN:
            if telling is Telling.OVER:
                return f"{facts['host']} answers again."
            return f"{facts['host']} is down: nearly all calls there fail, and wait now."
        case Rule.DISK:
            over = "There is room for the database again."
            return over if telling is Telling.OVER else f"{facts['why']}."
        case Rule.HOLD:
            held = str(facts["held"])
            how = "no more" if telling is Telling.OVER else "for longer than an hour"
            return f"{held[0].upper()}{held[1:]} is held {how}."


def _of_runs(telling: Telling, it: Incident, facts: Facts, what: str) -> str:
    since = f"since {rfc3339(it.began_at)}"
    if "workflow" not in facts:
        return f"A bug of the engine's has stopped {_runs(it.count).lower()}{_why(facts)}."
    where, minutes = _workflow(facts), WINDOW_MS // 60_000
    if telling is Telling.OVER:
        return (
            f"No run of {where} {what} for {minutes} minutes at {facts['step']}; {it.count:,}"
            f" {since}."
        )
    why = _why(facts)
    if telling is Telling.FIRST:
        more = "" if it.count == 1 else f" ({it.count:,} {since})"
        return f"{_runs(it.count)} of {where} {what} at {facts['step']}{why}{more}."
    return (
        f"{it.unsaid:,} more runs of {where} {what} at {facts['step']}{why}; {it.count:,} {since}."
    )


def _workflow(facts: Facts) -> str:
    if "workflow" not in facts:  # more than are told apart
        return "other workflows"
    return f"{facts['workflow']} (client {facts['client']})"


def _why(facts: Facts) -> str:
    found = [str(facts[name]) for name in ("httpStatus", "excerpt") if name in facts]
    if not found and "error" in facts:
        found = [str(facts["error"])]
    return f": {', '.join(found)}" if found else ""


def _runs(count: int) -> str:
    return "A run" if count == 1 else f"{count:,} runs"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
