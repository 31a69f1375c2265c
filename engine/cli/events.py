"""`atomic events`: what happens, a line each, with the names of the steps."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING

import click

from engine.cli.options import actor_option, client_of, engine_option
from engine.cli.show.lists import event_text
from engine.cli.show.text import json_text
from engine.core.errors import EngineError
from engine.core.filter import duration_ms

if TYPE_CHECKING:
    from engine.client import Event, Operations

NAMES_KEPT_MAX = 10_000
"""Steps; one that is forgotten is asked for again."""


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    help="From then on: 1h, 90d, or 2026-11-23T12:00:00Z. Or just after the event of an id.",
)
@engine_option
@actor_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line.")
def events(since: str | None, engine: str, actor: str, as_json: bool) -> None:
    """Print what happens, as it happens, until Ctrl-C."""
    import msgspec

    after, at = _start(since)
    with (
        client_of(engine, patient=True, actor=actor) as client,
        client_of(engine) as other,
        client.operate.events(after, since=at) as stream,
    ):
        names = StepNames(other.operate)
        for event in stream:
            if as_json:
                line = {"id": event.id, "event": event.kind, "data": event.raw}
                click.echo(json_text(msgspec.json.encode(line), indent=-1))
            elif event.kind != "heartbeat":
                click.echo(event_text(event, names.of(event)))


def _start(since: str | None) -> tuple[str | None, str | None]:
    """The id behind which the stream is to begin, and the time."""
    if since is None:
        return None, None
    if duration_ms(since) is not None or re.match(r"\d{4}-\d\d-\d\d", since):
        return None, since
    if "-" in since:
        return since, None
    raise click.BadParameter(
        f"{since!r} is no time (1h, 90d, 2026-11-23T12:00:00Z), and no id of an event"
        " (3192dc6a-17).",
        param_hint="'--since'",
    )


class StepNames:
    """What the steps of events are called: told when one is accepted, else asked for once."""

    def __init__(self, operate: Operations) -> None:
        self._operate = operate
        self._names: OrderedDict[str, str | None] = OrderedDict()

    def of(self, event: Event) -> str | None:
        """The name of the step; of a run's own events that of its root. None: it is not known."""
        from engine.wire.events import Stamped

        data = event.data
        step_id = isinstance(data, Stamped) and (data.step_id or data.run_id)
        if not step_id:
            return None
        if (name := _accepted(event)) is not None:
            self._keep(step_id, name)
        elif step_id not in self._names:
            self._keep(step_id, self._ask(step_id))
        else:
            self._names.move_to_end(step_id)
        return self._names[step_id]

    def _keep(self, step_id: str, name: str | None) -> None:
        self._names[step_id] = name
        self._names.move_to_end(step_id)
        if len(self._names) > NAMES_KEPT_MAX:
            self._names.popitem(last=False)

    def _ask(self, step_id: str) -> str | None:
        """An event is told without the name rather than not at all."""
        from engine.wire import step_label

        try:
            row = self._operate.step(step_id)
        except (EngineError, ValueError):
            return None
        return step_label(row.name, row.step_key)


def _accepted(event: Event) -> str | None:
    """The name in an event that tells how a step was posted."""
    from engine.wire import step_label
    from engine.wire.events import Accepted, Replaced

    spec = event.data.spec if isinstance(event.data, (Accepted, Replaced)) else None
    return step_label(spec.name, spec.step_key) if spec and spec.name else None
