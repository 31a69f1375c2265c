# Made from engine/client/aio/operate.py by `just blocking`: change that, and not this.
"""What operators ask of an engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec import UNSET

from engine import wire
from engine.client.answers import BodyPart, read_answer, read_body
from engine.client.blocking.events import Events
from engine.client.blocking.exchange import Exchange
from engine.client.calls import (
    abort_call,
    action_call,
    body_call,
    bulk_call,
    dismiss_call,
    given_of,
    hold_call,
    look,
    no_members_call,
    note_call,
    release_call,
    undismiss_call,
    unnote_call,
    urls_of,
)
from engine.client.feed import Position
from engine.client.renamed import new_form
from engine.client.tries import Call
from engine.wire import routes

T = TypeVar("T")


class Operations:
    """Looks at runs and acts on them: `operate` of a client. `actor` is recorded as who asked."""

    def __init__(self, exchange: Exchange, actor: str | None) -> None:
        self._exchange = exchange
        self._actor = actor

    @new_form
    def run_page(
        self,
        *,
        client: str | None = None,
        workflow: str | None = None,
        key: str | None = None,
        status: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        filter: str | None = None,
    ) -> wire.RunPage:
        """One page of runs; `next` of the answer is the `cursor` of the one after it.

        With a `filter` (`docs/reference/filter.md`) a page may come short and not be the last.
        """
        asked = {"client": client, "workflow": workflow, "key": key, "status": status, "sort": sort}
        return self._look(routes.RUNS, **asked, q=filter, limit=limit, cursor=cursor)

    @new_form
    def runs(
        self,
        *,
        client: str | None = None,
        workflow: str | None = None,
        key: str | None = None,
        status: str | None = None,
        sort: str | None = None,
        filter: str | None = None,
    ) -> Iterator[wire.RunRow]:
        """Every run that fits, page after page as they are needed."""
        asked = {"client": client, "workflow": workflow, "key": key, "status": status, "sort": sort}
        cursor: str | None = None
        while True:
            page = self._look(routes.RUNS, **asked, q=filter, cursor=cursor)
            yield from page.runs
            if page.next is None:
                return
            cursor = page.next

    def run(self, run_id: str) -> wire.RunTree:
        """A run with its steps and their attempts."""
        return self._look(routes.RUN, run_id)

    def run_file(self, run_id: str, *, bodies: bool = False) -> bytes:
        """A run as one page of HTML that needs nothing else, as `/ui` has it; `bodies`: with
        payloads and answers, for the role `operate`."""
        query = {"bodies": "yes"} if bodies else {}
        return read_body(self._exchange.answer(look(routes.UI_FILE, run_id, **query))).data

    def step(self, step_id: str) -> wire.StepRow:
        """One step as it stands, with its attempts."""
        return self._look(routes.STEP, step_id)

    def causes(self, *, dismissed: bool = False) -> wire.CauseList:
        """Why runs need a person, what most need it for first; `dismissed`: also the causes that
        were dismissed and have not come again."""
        asked = {routes.DISMISSED: "true"} if dismissed else {}
        return self._look(routes.CAUSES, **asked)

    def note_cause(self, cause: str, text: str) -> wire.NoteRow:
        """Write a note of a cause, at most 1,024 bytes of UTF-8. (Of a run: `act(id, "note",
        reason=…)`.)"""
        return self._read(routes.CAUSE_NOTE, note_call(cause, text, self._actor))

    def take_note_back(self, cause: str, number: int) -> wire.NoteRow:
        """Remove a note of a cause, counted from 1; those behind it move up."""
        return self._read(routes.CAUSE_UNNOTE, unnote_call(cause, number, self._actor))

    def dismiss_cause(
        self, cause: str, reason: str, *, last_at: str | None = None
    ) -> wire.DismissalRow:
        """Dismiss a cause until it comes again; the reason is as long as a note at most. `last_at`:
        its `last_at` as it was seen, so that it has come again with what is later; None: as it is.
        (A run: `act(id, "dismiss")`.)"""
        call = dismiss_call(cause, reason, last_at, self._actor)
        return self._read(routes.CAUSE_DISMISS, call)

    def undismiss_cause(self, cause: str) -> wire.DismissalRow:
        """Put a dismissed cause back on the list."""
        return self._read(routes.CAUSE_UNDISMISS, undismiss_call(cause, self._actor))

    @new_form
    def retry_page(
        self, *, filter: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> wire.RetryPage:
        """What is tried next, by time. `filter` is one of the runs."""
        return self._look(routes.RETRIES, q=filter, limit=limit, cursor=cursor)

    @new_form
    def bulk(
        self,
        action: wire.Action | str,
        filter: str,
        *,
        expect: int = 0,
        dry_run: bool = False,
        rate_per_s: int = 20,
        reason: str | None = None,
        key: str | None = None,
        from_url: str | None = None,
        to_url: str | None = None,
        first: int | None = None,
    ) -> wire.BulkAnswer:
        """One action on every run that the `filter` finds, as a job of the engine's.

        `expect` is how many you mean: more, and it is Refused. With a `key` of yours the job is
        begun once, however often the call is made. `first`: it acts on so many, and on the rest
        only when all of these have completed.
        """
        request = wire.BulkRequest(
            *(wire.Action(action), filter, expect, dry_run, rate_per_s, reason),
            *urls_of(from_url, to_url),
            first=UNSET if first is None else first,
        )
        return self._read(routes.BULK, bulk_call(request, key, self._actor))

    def bulk_jobs(self) -> tuple[wire.BulkAnswer, ...]:
        """The latest bulk jobs, the latest first."""
        return (self.bulk_page()).jobs

    def bulk_page(self, *, limit: int | None = None, cursor: str | None = None) -> wire.BulkList:
        """A page of the bulk jobs that are kept, the latest first."""
        return self._look(routes.JOBS, limit=limit, cursor=cursor)

    def bulk_job(self, job_id: str) -> wire.BulkAnswer:
        """How a bulk job stands, and what came of its runs."""
        return self._look(routes.JOB, job_id)

    def bulk_abort(self, job_id: str) -> wire.BulkAnswer:
        """Stop a bulk job; what it has done stays done."""
        return self._read(routes.ABORT, abort_call(job_id, self._actor))

    def holds(self) -> wire.HoldList:
        """What is held, and what was released and still lets go of what waited."""
        return self._look(routes.HOLDS)

    def hold(
        self, kind: wire.HoldKind | str, name: str, *, reason: str | None = None
    ) -> wire.HoldRow:
        """Start nothing of a `client`, of a `workflow` or to a `host` until it is released; of kind
        `all`, whose name is `*`, nothing at all."""
        request = wire.HoldRequest(wire.HoldKind(kind), name, reason)
        return self._read(routes.HOLD, hold_call(request, self._actor))

    def release(
        self, kind: wire.HoldKind | str, name: str, *, rate_per_s: int | None = None
    ) -> wire.HoldRow:
        """Let what was held start again: of what has waited `rate_per_s` attempts a second at most,
        or as hosts take them. Raises Refused when it is not held."""
        request = wire.ReleaseRequest(wire.HoldKind(kind), name, rate_per_s)
        return self._read(routes.RELEASE, release_call(request, self._actor))

    def payload(
        self,
        step_id: str,
        *,
        first: int = 0,
        count: int | None = None,
        generation: int | None = None,
        whole: bool = False,
    ) -> BodyPart:
        """A step's payload, or `count` bytes of it; or what a generation of it was called with.
        What its client hides is masked, unless `whole` is asked for: with the role `admin`, and the
        audit keeps it."""
        call = body_call(
            step_id, None, first, count, generation=generation, whole=whole, actor=self._actor
        )
        return read_body(self._exchange.answer(call))

    def result(
        self,
        step_id: str,
        *,
        first: int = 0,
        count: int | None = None,
        generation: int | None = None,
        whole: bool = False,
    ) -> BodyPart:
        """What a step's last attempt was answered, or what was set by hand; or what a generation of
        it ended with. `whole`: as of a payload."""
        call = body_call(
            step_id, None, first, count, generation=generation, outcome=True, whole=whole,
            actor=self._actor,
        )  # fmt: skip
        return read_body(self._exchange.answer(call))

    def answer(
        self,
        step_id: str,
        attempt: int,
        *,
        first: int = 0,
        count: int | None = None,
        whole: bool = False,
    ) -> BodyPart:
        """What an attempt was answered, or `count` bytes of it. `whole`: as of a payload."""
        call = body_call(step_id, attempt, first, count, whole=whole, actor=self._actor)
        return read_body(self._exchange.answer(call))

    def act(
        self,
        run_id: str,
        action: wire.Action | str,
        *,
        step: str | None = None,
        if_rev: int | None = None,
        dry_run: bool = False,
        reason: str | None = None,
        from_url: str | None = None,
        to_url: str | None = None,
        result: Any = UNSET,
        content_type: str | None = None,
        http_status: int | None = None,
        payload: Any = UNSET,
        key: str | None = None,
    ) -> wire.ActionAnswer:
        """Retry, pause, resume, cancel, rerun, dismiss or undismiss; or `retarget`, from a URL (or
        what URLs begin with) to another. Raises Refused when the state does not allow it, or when
        it has moved on from `if_rev`.

        `set-result` gives a step a `result`, JSON unless `content_type` says otherwise (then a
        text), `skip` none; `rerun` of a run may give another `payload`. They need a `reason`. With
        a `key` of yours each is done once, however often the call is made.
        """
        request = wire.ActionRequest(
            *(wire.Action(action), step, if_rev, dry_run, reason),
            *urls_of(from_url, to_url),
            content_type=UNSET if content_type is None else content_type,
            http_status=UNSET if http_status is None else http_status,
        )
        given = given_of("result", result) | given_of("payload", payload)
        return self._read(routes.ACT, action_call(run_id, request, self._actor, given, key))

    def status(self) -> wire.Status:
        """How the engine is: counts by state, limits, durability. Members are added over time;
        None is what the engine does not tell."""
        return wire.status_of(self._look(routes.STATUS))

    def whoami(self) -> wire.OwnToken | None:
        """The name, role and client of the token that is sent, whatever its role; None: the engine
        asks for none."""
        return (self._look(routes.WHOAMI)).token

    def page_link(self) -> wire.PageLink:
        """Where a browser sees the engine's pages: with a code for it that is good once, for a
        minute, where the engine asks for tokens."""
        return self._read(routes.UI_CODE, no_members_call(routes.UI_CODE))

    def events(self, last_event_id: str | None = None, *, since: str | None = None) -> Events:
        """What happens, as it happens: `with operate.events() as events: for …`.

        From now on, or from just behind an event, or from a time on: `since` is RFC 3339, or `1h`
        for so long before now. The status tells that `actor` listens."""
        return self._exchange.events(Position(last_event_id, since, self._actor))

    def _look(self, route: routes.Route[T], *ids: str, **query: str | int | None) -> T:
        return self._read(route, look(route, *ids, **query))

    def _read(self, route: routes.Route[T], call: Call) -> T:
        return read_answer(self._exchange.answer(call), route.answer)
