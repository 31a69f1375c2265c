"""The schema, as migrations of sqlite-utils: each commits together with the record of it.

`journal` is the record: appended to in each commit, never changed; retention cuts its beginning,
and what that has of runs that stay is carried on. The other tables say what it leads to, and follow
a moment later. Rows of a run lie together: a child's id begins with its run's, run ids rise with
time, and the tables are clustered by id (WITHOUT ROWID), so that what is written together is
neighbours on disk. `owner`, `epoch` and `kind` are there for a store with several engines and steps
of other kinds.

Expand, then contract: a migration may add; what it no longer needs is dropped a release later.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from engine.core.alive import may_post_of_old
from engine.core.cause import stuck
from engine.store.sqlite.stored import of_stored
from engine.store.tables.registry import rename_causes

migrations = Migrations("atomic")

TABLES = """
CREATE TABLE engine (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    file_id TEXT NOT NULL,      -- names this file's event sequence; a copy keeps it
    secret BLOB NOT NULL,       -- signs the tokens of attempts
    epoch INTEGER NOT NULL,     -- rises with every start
    owner TEXT NOT NULL,        -- who has it open, for people
    started_at INTEGER NOT NULL,
    caught_up INTEGER NOT NULL DEFAULT 0 -- the tables know every event up to this one
) STRICT;

CREATE TABLE journal (          -- engine/store/journal.py says what is in an entry
    seq INTEGER PRIMARY KEY,    -- of its first event; gap-free, in commit order
    events INTEGER NOT NULL,
    at INTEGER NOT NULL,        -- the latest time in it
    size INTEGER NOT NULL,      -- of `packed`, in bytes, when unpacked
    packed BLOB NOT NULL,
    large BLOB
) STRICT;

CREATE TABLE run (
    id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    workflow TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    rev INTEGER NOT NULL,
    progress INTEGER NOT NULL,
    dismissed INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    open_steps INTEGER NOT NULL,
    failed_steps INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    seq INTEGER NOT NULL,       -- the last event that the rows of this run know
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT                   -- null: http
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX run_identity ON run (client, workflow, key);
CREATE INDEX run_state ON run (state, id);

CREATE TABLE step (
    id TEXT PRIMARY KEY,
    run_id TEXT GENERATED ALWAYS AS
        (CASE instr(id, '-') WHEN 0 THEN id ELSE substr(id, 1, instr(id, '-') - 1) END) VIRTUAL,
    parent_id TEXT,             -- null at depth 0, and at depth 1: there it is the root
    ordinal INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    workflow TEXT,              -- null: the run's
    key TEXT,                   -- null: the run's
    url TEXT NOT NULL,
    step_key TEXT,              -- null: the url
    name TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    retry TEXT,                 -- the policy as JSON; null: the engine's default
    attempt_timeout_ms INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    recorded_by INTEGER NOT NULL,
    state TEXT NOT NULL,
    rev INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    reruns INTEGER NOT NULL,
    payload_generation INTEGER NOT NULL,
    payload_in INTEGER,         -- the journal's entry that holds it
    attempts INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    interruptions INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    crash_mark INTEGER NOT NULL,
    due_at INTEGER,
    delay_ms INTEGER NOT NULL,
    delay_by TEXT,
    opened_at INTEGER NOT NULL,
    paused_at INTEGER,
    paused_ms INTEGER NOT NULL,
    pause_reason TEXT,
    held_state TEXT,
    hold INTEGER NOT NULL,
    awaiting_post INTEGER NOT NULL,
    cancel_asked INTEGER NOT NULL,
    ended_at INTEGER,
    cause_id TEXT,
    http_status INTEGER,
    error TEXT,
    answer_attempt INTEGER NOT NULL,
    wake_at INTEGER,            -- when the engine must look at it; 0: it was about to, or at it
    kind TEXT                   -- null: http
) STRICT, WITHOUT ROWID;
CREATE INDEX step_wake ON step (wake_at, id) WHERE wake_at IS NOT NULL;

CREATE TABLE attempt (
    step_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    counts_as TEXT,             -- success, failure, interruption, crash, late; null: in flight
    http_status INTEGER,
    error TEXT,
    delay_ms INTEGER,
    delay_by TEXT,
    answer_in INTEGER,          -- the journal's entry that holds its answer
    epoch INTEGER NOT NULL,
    PRIMARY KEY (step_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome (
    step_id TEXT NOT NULL,
    generation INTEGER NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    answer_attempt INTEGER NOT NULL,
    http_status INTEGER,
    error TEXT,
    cause_id TEXT,
    ended_at INTEGER NOT NULL,
    PRIMARY KEY (step_id, generation)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER outcome_is_final BEFORE UPDATE ON outcome
BEGIN SELECT RAISE(ABORT, 'an outcome is written once'); END;

CREATE TABLE tally (            -- runs by state, as `run` has them: nothing is ever counted
    state TEXT PRIMARY KEY,
    runs INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


@migrations()
def m001_journal_and_tables(db: Database) -> None:
    """The first schema."""
    for statement in split_statements(TABLES):
        db.execute(statement)


STUCK = """
ALTER TABLE run ADD COLUMN cause TEXT;
ALTER TABLE run ADD COLUMN stuck_at INTEGER;
CREATE INDEX run_cause ON run (cause, stuck_at) WHERE cause IS NOT NULL;
"""
"""`cause`: why a run needs a person, null when it does not (core/cause.py); `stuck_at`: since when.
Few runs do, so the index is small however many there are."""
SQL_MAY_BE_STUCK = """
SELECT id FROM run WHERE state = 'failed' UNION SELECT run_id FROM step WHERE state = 'paused'
"""


@migrations()
def m002_stuck_runs(db: Database) -> None:
    """Runs that need a person, by cause; those that were there before are looked through once."""
    for statement in split_statements(STUCK):
        db.execute(statement)
    for run_id, need in of_stored(db, SQL_MAY_BE_STUCK, stuck):
        if need is not None:
            values = (need.cause, need.since, run_id)
            db.execute("UPDATE run SET cause = ?, stuck_at = ? WHERE id = ?", values)


MAY_POST = "ALTER TABLE step ADD COLUMN may_post INTEGER NOT NULL DEFAULT 0"
"""Of an open root: whether the function of its last attempt may still be at work."""
SQL_OPEN_ROOTS = "SELECT id FROM step WHERE depth = 0 AND ended_at IS NULL AND attempts > 0"


@migrations()
def m003_functions_at_work(db: Database) -> None:
    """Whether a function of a run may still post: of older runs, as their last attempt's end says.

    Of an attempt in flight it is said when it ends.
    """
    db.execute(MAY_POST)
    for run_id, may_post in of_stored(db, SQL_OPEN_ROOTS, may_post_of_old):
        if may_post:
            db.execute("UPDATE step SET may_post = 1 WHERE id = ?", (run_id,))


STOPPED = """
ALTER TABLE run ADD COLUMN engine_error TEXT;
ALTER TABLE run ADD COLUMN engine_error_seq INTEGER;
"""
"""`engine_error`: what was wrong when a bug stopped the run; empty: it is to be read again; null:
none did. `engine_error_seq`: the event that says so; a row whose `seq` is smaller lacks events from
before it (stopped.py)."""


@migrations()
def m004_engine_error(db: Database) -> None:
    """Runs that a bug of the engine's stopped. Until now these were known in memory alone."""
    for statement in split_statements(STOPPED):
        db.execute(statement)


MOVES = """
ALTER TABLE run ADD COLUMN moves TEXT;
ALTER TABLE step ADD COLUMN ended_url TEXT;
"""
"""`moves`: of a run that was retargeted, pairs of URLs in their order, JSON; `ended_url`: where a
step ended that was moved since. `step.url` is where it would be called now."""


@migrations()
def m005_moved_runs(db: Database) -> None:
    """Runs can be moved to other URLs; none has been."""
    for statement in split_statements(MOVES):
        db.execute(statement)


EXCERPTS = """
ALTER TABLE step ADD COLUMN excerpt TEXT;
ALTER TABLE attempt ADD COLUMN excerpt TEXT;
"""
"""Why an attempt failed, in one line (core/rules/excerpt.py); of a step its last attempt's."""


@migrations()
def m006_excerpts(db: Database) -> None:
    """Attempts tell their reason. Those from before have none: their bodies are not read again."""
    for statement in split_statements(EXCERPTS):
        db.execute(statement)


REGISTRY = """
CREATE TABLE registry (         -- what people set at run time (engine/ports/registry.py)
    kind TEXT NOT NULL,         -- client, token, limits, hold, retention
    name TEXT NOT NULL,
    value TEXT NOT NULL,        -- JSON
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
"""


@migrations()
def m007_registry(db: Database) -> None:
    """Clients, tokens, limits and holds can be set at run time; none is."""
    for statement in split_statements(REGISTRY):
        db.execute(statement)


HELD = "ALTER TABLE step ADD COLUMN held_since INTEGER"
"""Since when a hold keeps it from starting; its `wake_at` is behind every time then (rows.py)."""


@migrations()
def m008_held_steps(db: Database) -> None:
    """Steps can be held; none is."""
    db.execute(HELD)


OF_CLIENT = """
CREATE INDEX run_of_client ON run (client, state, id);
CREATE INDEX run_cause_of_client ON run (client, cause, stuck_at) WHERE cause IS NOT NULL;
"""
"""By client first: who sees one client alone goes through its runs alone."""


@migrations()
def m009_runs_of_client(db: Database) -> None:
    """The runs of one client are found without a look at the others."""
    for statement in split_statements(OF_CLIENT):
        db.execute(statement)


AUDIT = """
CREATE TABLE audit (            -- what people did (engine/ports/audit.py)
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT,
    act TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    status INTEGER,
    problem TEXT,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at);
"""


@migrations()
def m010_audit(db: Database) -> None:
    """What people do is kept; of what they did before there are the events of runs."""
    for statement in split_statements(AUDIT):
        db.execute(statement)


EXPIRED = """
CREATE TABLE expired (          -- runs that retention removed: so much of them stays
    run_id TEXT PRIMARY KEY,
    client TEXT NOT NULL,
    workflow TEXT NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    submitted_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX expired_identity ON expired (client, workflow, key);
"""
"""By run, as what goes together lies together; identities lie anywhere."""


@migrations()
def m011_expired_runs(db: Database) -> None:
    """Runs can expire, and their keys stay; none has."""
    for statement in split_statements(EXPIRED):
        db.execute(statement)


TRACES = "ALTER TABLE step ADD COLUMN trace TEXT"
"""Whose trace its post was part of (core/rules/trace.py)."""


@migrations()
def m012_traces(db: Database) -> None:
    """Posts may say whose trace they are part of; of older ones it is not known."""
    db.execute(TRACES)


PAUSES = "ALTER TABLE step ADD COLUMN paused_ms_at INTEGER"
"""Until when `paused_ms` is counted."""


@migrations()
def m013_pauses_counted_once(db: Database) -> None:
    """What a pause and a hold both take is counted once; of what was counted before it is not known
    until when."""
    db.execute(PAUSES)


CARRIED = """
ALTER TABLE engine ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
CREATE TABLE carried (          -- what entries that were cut had of runs that stay
    run_id TEXT NOT NULL,
    entry INTEGER NOT NULL,     -- the journal's, which the rows of the run still name
    size INTEGER NOT NULL,      -- of `packed`, in bytes, when unpacked
    packed BLOB NOT NULL,       -- engine/store/journal.py: a part of an entry
    large BLOB,
    PRIMARY KEY (run_id, entry)
) STRICT;
"""
"""`floor`: the last event that was cut from the journal; 0: none was. What was carried on goes with
its run. Parts are some 1 KB: clustered by run each would have an overflow page of its own."""


@migrations()
def m014_floor_of_the_journal(db: Database) -> None:
    """The journal can be cut; nothing of it has been."""
    for statement in split_statements(CARRIED):
        db.execute(statement)


JOBS = """
CREATE TABLE job (              -- what people had done in bulk (engine/ports/jobs.py)
    id TEXT PRIMARY KEY,
    client TEXT,                -- the only one whose runs there were for who asked; null: all
    key TEXT,                   -- idempotency key
    total INTEGER NOT NULL,
    ended_at INTEGER,
    record TEXT NOT NULL        -- all of it, JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX job_key ON job (key) WHERE key IS NOT NULL;
CREATE TABLE job_run (          -- the runs of a job
    job_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    if_rev INTEGER,             -- the revision it was found at, if it was at rest
    at INTEGER,                 -- when its turn came; null: it has not
    generation INTEGER,         -- in which the action left its root
    refused TEXT,               -- the problem, if it was left alone
    PRIMARY KEY (job_id, run_id)
) STRICT, WITHOUT ROWID;
"""


@migrations()
def m015_jobs(db: Database) -> None:
    """Bulk jobs are recorded; those that older engines had in memory ended with them."""
    for statement in split_statements(JOBS):
        db.execute(statement)


REPAIRS = """
ALTER TABLE step ADD COLUMN repairs TEXT;
CREATE TABLE body (             -- where bodies lie that neither `step` nor `attempt` names:
    step_id TEXT NOT NULL,      -- results that were set, and payloads that another was set for
    answer INTEGER NOT NULL,
    number INTEGER NOT NULL,    -- of the generation; of a result below 0
    entry INTEGER NOT NULL,     -- the journal's
    PRIMARY KEY (step_id, answer, number)
) STRICT, WITHOUT ROWID;
"""
"""`repairs`: who set a result or a payload, when and why: JSON, in their order."""


@migrations()
def m016_repairs(db: Database) -> None:
    """Results and payloads can be set by hand; none has been."""
    for statement in split_statements(REPAIRS):
        db.execute(statement)


SQL_TOLD_BY_WORDS = """
SELECT id FROM run WHERE cause IS NOT NULL AND engine_error IS NULL AND EXISTS (
    SELECT 1 FROM step WHERE step.id >= run.id AND step.id < run.id || '.' AND excerpt IS NOT NULL
)
"""


@migrations()
def m017_causes_by_pattern(db: Database) -> None:
    """Causes are told apart by what their reasons say too: runs that need a person get theirs anew,
    or each would stand beside what fails from now on. So do alerts, or all would be said over."""
    renamed: dict[str, str] = {}
    for run_id, need in of_stored(db, SQL_TOLD_BY_WORDS, stuck):
        if need is not None:
            (known,) = db.execute("SELECT cause FROM run WHERE id = ?", (run_id,)).fetchone()
            renamed.setdefault(known, need.cause)
            db.execute("UPDATE run SET cause = ? WHERE id = ?", (need.cause, run_id))
    rename_causes(db.conn, renamed)


NOTES = "ALTER TABLE run ADD COLUMN notes TEXT"
"""What people wrote of it: when, who, what; JSON, in their order."""


@migrations()
def m018_notes(db: Database) -> None:
    """People can write notes of runs; none has."""
    db.execute(NOTES)


TOLD = """
ALTER TABLE audit ADD COLUMN client TEXT;
ALTER TABLE audit ADD COLUMN workflow TEXT;
ALTER TABLE audit ADD COLUMN key TEXT;
ALTER TABLE audit ADD COLUMN step TEXT;
ALTER TABLE expired ADD COLUMN removed_at INTEGER;
"""
"""What people are told of an act on a run beside its id, and of a run that went. Null: of before.
"""


@migrations()
def m019_told_of_acts_and_what_went(db: Database) -> None:
    """The audit names runs and steps, and it is kept when a run was removed: from now on."""
    for statement in split_statements(TOLD):
        db.execute(statement)


def split_statements(script: str) -> list[str]:
    """The statements of a script, as SQLite itself finds their ends (a trigger's are inside)."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current.strip())
            current = ""
    assert not current.strip(), current
    return statements
