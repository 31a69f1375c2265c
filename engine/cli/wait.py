"""Waiting for an outcome without leaving a person in the dark: what keeps the run is told."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from engine.cli.options import client_of, engine_typed
from engine.cli.show.text import safe, state_text
from engine.cli.show.tree import run_note

if TYPE_CHECKING:  # `--help` does without
    from engine.client import Client, Open, Outcome
    from engine.wire import RunRow

TOLD_AFTER_S = 5
"""Whoever waits longer is told how the run stands, and again whenever that has changed, at most as
often. Most runs have ended by then."""
ENDS_WAIT_ALONE = "Ctrl-C stops the waiting, not the run."


def wait_telling(engine: str, found: Outcome | Open) -> Outcome:
    """The outcome; until it is there each change of how the run stands is told on standard error.

    Raises like `Client.outcome`.
    """
    from engine.client import NothingKnown, Outcome

    if isinstance(found, Outcome):
        return found
    last: str | None = None
    with client_of(engine, patient=True, met=True) as atomic:
        while True:
            stands = _how_it_stands(atomic, found.run_id)
            if stands is not None and stands != last:
                click.echo(stands if last else f"{stands}\n{ENDS_WAIT_ALONE}", err=True)
                last = stands
            try:
                answer = atomic.outcome(found.id, wait=TOLD_AFTER_S)
            except NothingKnown:  # a restart of the engine takes longer than such a wait
                return atomic.outcome(found.id)
            if isinstance(answer, Outcome):
                return answer


def first_look(atomic: Client, step_id: str) -> Outcome | Open:
    """The outcome, if it comes soon. An engine that is busy or away for a moment is waited for."""
    from engine.client import NothingKnown, Unreachable

    try:
        return atomic.outcome(step_id, wait=TOLD_AFTER_S)
    except NothingKnown as error:
        if isinstance(error, Unreachable) and error.unsent:
            raise
        return atomic.outcome(step_id)


def _how_it_stands(atomic: Client, run_id: str) -> str | None:
    """One line, and what a person has to do where it waits for one. None: nobody says."""
    from engine.client import AtomicError

    with suppress(AtomicError):
        return how_it_stands(atomic.operate.run(run_id).run)
    return None


def how_it_stands(run: RunRow) -> str:
    """The run's state with its reason, or the step it is at; and what to do where it is paused."""
    from engine.wire import PauseReason

    note = run_note(run)
    if not note and run.at is not None:
        note = f"at {safe(run.at.name)}"
    line = f"{state_text(run.status)}  {note}".rstrip()
    if run.status != "paused":
        return line
    needs = "It waits for you. When what is wrong is mended"
    if run.pause_reason == PauseReason.OPERATOR:  # nothing need be wrong
        needs = "Somebody has paused it. To let it go on"
    named = f"{safe(run.id)}{engine_typed()}"
    return f"{line}\n{needs}: atomic resume {named} (or give it up: atomic cancel {named})"
