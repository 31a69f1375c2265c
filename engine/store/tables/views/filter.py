"""The filter language as SQL: which rows to look through, and what must hold of each.

What has an index decides where to look: stuck runs have one of their own, states have one. The
rest of a filter is compared with each row, newest first, chunk by chunk and a bounded number: a
page may come short, and its cursor says where to go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from engine.core.filter import Compare, Field, Filter, Is, Term
from engine.core.model import ENDED, OPEN, StepState
from engine.store import rows
from engine.store.tables.connection import SQL, Row, Tables

CHUNK_ROWS = 2_000
ROWS_LOOKED_AT_MAX = 50_000
"""By one request: some tenths of a second, for which a reader's connection is taken."""
LATE_AFTER_MS = 1_000
STATES_OF: dict[str, tuple[StepState, ...]] = {
    **{state: (state,) for state in StepState},
    Is.LIVE: tuple(sorted(OPEN)),
    Is.ENDED: tuple(sorted(ENDED)),
}
"""What words of `is:` mean as states."""
_OF_RUN = "step.id >= run.id AND step.id < run.id || '.'"
_BEHIND_SCHEME = "substr(step.url, instr(step.url, '://') + 3)"
_HOST = f"substr({_BEHIND_SCHEME}, 1, instr({_BEHIND_SCHEME}, '/') - 1)"
"""With its port, as in a normalised URL, which has a path always."""

Condition = tuple[str, tuple[Any, ...]]


class Found(Struct, frozen=True):
    """The rows of a page, and the id behind which the next one begins (None: there is none)."""

    rows: list[Row]
    next: str | None


def find(
    db: Tables,
    terms: Filter,
    also: list[Condition],
    *,
    now: int,
    cursor: str | None,
    newest_first: bool,
    limit: int,
    only: str | None = None,
    states: tuple[str, ...] = (),
) -> Found:
    """The first `limit` runs behind `cursor` of which every term, and `also`, holds.

    `only`: no run of another client is even looked at; then `states` says which are.
    """
    conditions = [condition(term, now) for term in terms] + also
    where = " AND ".join(sql for sql, _ in conditions) or "TRUE"
    values = [value for _, each in conditions for value in each]
    order = "DESC" if newest_first else "ASC"
    record = (
        f"{SQL['run_record']} WHERE run.id IN (SELECT value FROM json_each(?)) AND {where}"
        f" ORDER BY run.id {order}"
    )
    candidates = Candidates(terms, newest_first=newest_first, only=only, states=states)
    found: list[Row] = []
    for _ in range(ROWS_LOOKED_AT_MAX // CHUNK_ROWS):
        ids = candidates.behind(db, cursor)
        if ids:
            found += db.execute(record, (json.dumps(ids), *values)).fetchall()
        if len(found) > limit:
            return Found(found[:limit], found[limit - 1]["id"])
        if len(ids) < CHUNK_ROWS:
            return Found(found, None)
        cursor = ids[-1]
    return Found(found, cursor)


class Candidates:
    """The rows that a filter looks through, in order, a chunk at a time."""

    def __init__(
        self,
        terms: Filter,
        *,
        newest_first: bool,
        only: str | None = None,
        states: tuple[str, ...] = (),
    ) -> None:
        looked = _states(terms)
        if only is not None:  # by state, as its runs lie: of all there are
            every = list(StepState) if looked is None else looked
            looked = [state for state in every if not states or state in states]
        own = "" if only is None else "client = ? AND "
        by_cause = "run_cause" if only is None else "run_cause_of_client"
        self._whose: tuple[str, ...] = () if only is None else (only,)
        order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
        self._edge = "~" if newest_first else ""
        """Behind, or before, all ids."""
        self._rows = CHUNK_ROWS
        """Taken at once: of stuck runs all that may be looked at, as their index is in another
        order, and each chunk would sort it anew."""
        self._ahead: list[str] = []
        if (job := _job_of(terms)) is not None:
            self._whose = (job,)
            self._sql = (
                f"SELECT run_id FROM job_run WHERE job_id = ? AND run_id {beyond} ?"
                f" ORDER BY run_id {order} LIMIT {CHUNK_ROWS}"
            )
            self._times = 1
        elif _is_stuck(terms):
            self._rows = ROWS_LOOKED_AT_MAX
            self._sql = (
                # `main`: the readers of a store that is away have a view of this name
                f"SELECT id FROM main.run INDEXED BY {by_cause}"
                f" WHERE {own}cause IS NOT NULL AND id {beyond} ? ORDER BY id {order}"
                f" LIMIT {self._rows}"
            )
            self._times = 1
        elif looked is None:
            self._sql = (
                f"SELECT id FROM run WHERE id {beyond} ? ORDER BY id {order} LIMIT {CHUNK_ROWS}"
            )
            self._times = 1
        else:
            parts = [
                f"SELECT id FROM (SELECT id FROM run WHERE {own}state = '{state}' AND id {beyond} ?"
                f" ORDER BY id {order} LIMIT {CHUNK_ROWS}) AS its"
                for state in looked
            ]
            union = " UNION ALL ".join(parts) or "SELECT id FROM run WHERE FALSE"
            self._sql = f"{union} ORDER BY id {order} LIMIT {CHUNK_ROWS}"
            self._times = len(looked)

    def behind(self, db: Tables, cursor: str | None) -> list[str]:
        """The ids of the next chunk."""
        if not self._ahead:
            edge = self._edge if cursor is None else cursor
            found = db.execute(self._sql, (*self._whose, edge) * self._times)
            self._ahead = [row[0] for row in found]
        ids, self._ahead = self._ahead[:CHUNK_ROWS], self._ahead[CHUNK_ROWS:]
        return ids


def _states(terms: Filter) -> list[StepState] | None:
    """The states that the terms leave; None: all."""
    left = list(StepState)
    for term in terms:
        if term.field is Field.IS and (named := STATES_OF.get(term.text)):
            left = [state for state in left if (state in named) is not term.negated]
    return left if len(left) < len(StepState) else None


def only_states(terms: Filter) -> list[StepState] | None:
    """The states that match, if a filter asks for nothing else; None: it does."""
    if not all(term.field is Field.IS and term.text in STATES_OF for term in terms):
        return None
    return _states(terms)


def _job_of(terms: Filter) -> str | None:
    """The job whose runs are looked through, and no others."""
    of_jobs = (term for term in terms if term.field is Field.JOB and not term.negated)
    return next((term.text.partition("/")[0] for term in of_jobs), None)


def _is_stuck(terms: Filter) -> bool:
    return any(
        not term.negated and (term.field is Field.CAUSE or term.text == Is.STUCK)
        for term in terms
        if term.field in (Field.CAUSE, Field.IS)
    )


def condition(term: Term, now: int) -> Condition:
    """What must hold of a row of `run`."""
    sql, values = _CONDITIONS[term.field](term, now)
    return (f"NOT ({sql})" if term.negated else f"({sql})"), values


def _any_step(what: str) -> str:
    """`OFFSET 0`: or PostgreSQL makes a join of it, and reads all steps that there are."""
    return f"EXISTS (SELECT 1 FROM step WHERE {_OF_RUN} AND {what} LIMIT 1 OFFSET 0)"


def _due_step(compare: str) -> str:
    """A step has a time, and it is so to the one given.

    `+` keeps SQLite from the index of times: it would go through all that is due, for each run.
    """
    timed = f"+step.wake_at > 0 AND +step.wake_at < {rows.HELD_WAKE_AT}"
    return _any_step(f"{timed} AND +step.wake_at {compare} ?")


def _glob_pattern(text: str) -> str:
    """A pattern of GLOB in which only `*` means something."""
    return text.replace("[", "[[]").replace("?", "[?]")


def _column_condition(name: str) -> Callable[[Term, int], Condition]:
    def condition_of(term: Term, now: int) -> Condition:
        if "*" in term.text:
            return f"{name} GLOB ?", (_glob_pattern(term.text),)
        return f"{name} = ?", (term.text,)

    return condition_of


def _is(term: Term, now: int) -> Condition:
    match term.text:
        case Is.LATE:
            late = now - LATE_AFTER_MS
            return _due_step("<"), (late,)
        case Is.STUCK:
            return "run.cause IS NOT NULL", ()
        case Is.DISMISSED:
            return "run.dismissed <> 0", ()
        case word:
            states = STATES_OF[word]
            return f"run.state IN ({','.join('?' * len(states))})", states


def _anywhere(term: Term, now: int) -> Condition:
    like = _like_pattern(term.text)
    columns = ("run.workflow", "run.key", "run.client", "run.id")
    return " OR ".join(f"{c} LIKE ? ESCAPE '\\'" for c in columns), (like,) * len(columns)


def _step(term: Term, now: int) -> Condition:
    sql, values = _column_condition("step.name")(term, now)
    return _any_step(sql), values


def _host(term: Term, now: int) -> Condition:
    sql, values = _column_condition(_HOST)(term, now)
    return _any_step(sql), values


def _tries(term: Term, now: int) -> Condition:
    number = term.number
    match term.compare:
        case Compare.MORE:
            return _any_step("step.attempts > ?"), (number,)
        case Compare.LESS:
            return f"NOT {_any_step('step.attempts >= ?')}", (number,)
        case Compare.EQUAL:
            more = _any_step("step.attempts > ?")
            return f"{_any_step('step.attempts = ?')} AND NOT {more}", (number, number)


def _due(term: Term, now: int) -> Condition:
    at = now + term.number
    if term.compare is Compare.LESS:
        return _due_step("<"), (at,)
    return f"{_due_step('>')} AND NOT {_due_step('<=')}", (at, at)


def _age(term: Term, now: int) -> Condition:
    older = term.compare is Compare.MORE
    return f"run.submitted_at {'<' if older else '>'} ?", (now - term.number,)


def _code(term: Term, now: int) -> Condition:
    last = term.number + (99 if term.text.endswith("xx") else 0)
    return _any_step("step.http_status BETWEEN ? AND ?"), (term.number, last)


def _job(term: Term, now: int) -> Condition:
    job, _, refused = term.text.partition("/")
    what = "refused IS NOT NULL" if refused else "at IS NOT NULL AND refused IS NULL"
    its = f"SELECT 1 FROM job_run WHERE job_id = ? AND run_id = run.id AND {what}"
    return f"EXISTS ({its})", (job,)


def _error(term: Term, now: int) -> Condition:
    """Part of a text, any case: of ASCII's letters SQLite knows it, of others `lower_case`, which
    is asked of texts with others alone."""
    like = _like_pattern(term.text)
    texts = ["step.excerpt", "step.error", "run.engine_error"]
    if not term.text.isascii():
        beyond = "CASE WHEN length(CAST({0} AS BLOB)) > length({0}) THEN lower_case({0}) END"
        texts = [beyond.format(it) for it in texts]
    excerpt, error, stopped = (f"{it} LIKE ? ESCAPE '\\'" for it in texts)
    return f"{_any_step(f'({excerpt} OR {error})')} OR ({stopped}) IS TRUE", (like,) * 3


def _like_pattern(text: str) -> str:
    """A pattern of LIKE for a part of a text, in which only `*` means something."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped.replace('*', '%')}%"


def _cause(term: Term, now: int) -> Condition:
    # null when the run needs nobody, and then no cause is also not another one
    return "run.cause IS NOT NULL AND run.cause GLOB ?", (f"{_glob_pattern(term.text)}*",)


_CONDITIONS: dict[Field, Callable[[Term, int], Condition]] = {
    Field.IS: _is,
    Field.WORKFLOW: _column_condition("run.workflow"),
    Field.CLIENT: _column_condition("run.client"),
    Field.KEY: _column_condition("run.key"),
    Field.STEP: _step,
    Field.HOST: _host,
    Field.TRY: _tries,
    Field.DUE: _due,
    Field.AGE: _age,
    Field.CODE: _code,
    Field.CAUSE: _cause,
    Field.JOB: _job,
    Field.ERROR: _error,
    Field.TEXT: _anywhere,
}
