-- The first schema: SQLite's tables (engine/store/sqlite/schema.py) with their columns and indexes,
-- and who may write (seat), how far the tables have come (mark). Numbers are bigint, flags too, as
-- they are one kind there. Text is compared byte by byte: ids are in the order of their times.

CREATE TABLE cluster (
    id bigint PRIMARY KEY CHECK (id = 1),
    file_id text COLLATE "C" NOT NULL,      -- names this record's event sequence
    secret bytea NOT NULL,                  -- signs the tokens of attempts
    began_at bigint NOT NULL,
    level bigint NOT NULL                   -- which kinds of events may be written
);

CREATE TABLE seat (             -- who may write: locked by every statement that does
    id bigint PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,                  -- rises whenever it changes hands
    started_at bigint NOT NULL
);
INSERT INTO seat (id, owner, epoch, started_at) VALUES (0, '', 0, 0);

CREATE TABLE mark (             -- how far the tables follow a seat's journal
    seat bigint PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    caught_up bigint NOT NULL,              -- they know every event up to this one
    follows bigint NOT NULL,                -- how often they were made to follow
    floor bigint NOT NULL                   -- the last event that was cut from the journal
) WITH (fillfactor = 30);
INSERT INTO mark (seat, owner, epoch, caught_up, follows, floor) VALUES (0, '', 0, 0, 0, 0);

CREATE VIEW engine AS           -- as the table of this name in SQLite's
SELECT cluster.file_id, cluster.secret, seat.epoch, seat.owner, seat.started_at,
    mark.caught_up, mark.floor
FROM cluster, seat JOIN mark ON mark.seat = seat.id WHERE seat.id = 0;

CREATE TABLE journal (          -- engine/store/journal.py says what is in an entry
    seat bigint NOT NULL,
    seq bigint NOT NULL,                    -- of its first event; gap-free, in commit order
    events bigint NOT NULL,
    at bigint NOT NULL,                     -- the latest time in it
    size bigint NOT NULL,                   -- of `packed`, in bytes, when unpacked
    epoch bigint NOT NULL,
    packed bytea NOT NULL,
    large bytea,
    PRIMARY KEY (seq, seat)   -- `seq` first: rows name entries by it
);
ALTER TABLE journal ALTER packed SET STORAGE EXTERNAL, ALTER large SET STORAGE EXTERNAL;

CREATE TABLE run (
    id text COLLATE "C" PRIMARY KEY,
    client text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    rev bigint NOT NULL,
    progress bigint NOT NULL,
    dismissed bigint NOT NULL,
    steps bigint NOT NULL,
    open_steps bigint NOT NULL,
    failed_steps bigint NOT NULL,
    submitted_at bigint NOT NULL,
    seq bigint NOT NULL,                    -- the last event that the rows of this run know
    owner text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    kind text COLLATE "C",                  -- null: http
    cause text COLLATE "C",
    stuck_at bigint,
    engine_error text COLLATE "C",
    engine_error_seq bigint,
    moves text COLLATE "C",
    notes text COLLATE "C"
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX run_identity ON run (client, workflow, key);
CREATE INDEX run_state ON run (state, id);
CREATE INDEX run_cause ON run (cause, stuck_at) WHERE cause IS NOT NULL;
CREATE INDEX run_of_client ON run (client, state, id);
CREATE INDEX run_cause_of_client ON run (client, cause, stuck_at) WHERE cause IS NOT NULL;

CREATE TABLE step (
    id text COLLATE "C" PRIMARY KEY,
    parent_id text COLLATE "C",             -- null at depth 0, and at depth 1: there it is the root
    ordinal bigint NOT NULL,
    depth bigint NOT NULL,
    workflow text COLLATE "C",              -- null: the run's
    key text COLLATE "C",                   -- null: the run's
    url text COLLATE "C" NOT NULL,
    step_key text COLLATE "C",              -- null: the url
    name text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    retry text COLLATE "C",                 -- the policy as JSON; null: the engine's default
    attempt_timeout_ms bigint NOT NULL,
    submitted_at bigint NOT NULL,
    recorded_by bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    rev bigint NOT NULL,
    generation bigint NOT NULL,
    reruns bigint NOT NULL,
    payload_generation bigint NOT NULL,
    payload_in bigint,                      -- the journal's entry that holds it
    attempts bigint NOT NULL,
    failures bigint NOT NULL,
    interruptions bigint NOT NULL,
    crashes bigint NOT NULL,
    crash_mark bigint NOT NULL,
    due_at bigint,
    delay_ms bigint NOT NULL,
    delay_by text COLLATE "C",
    opened_at bigint NOT NULL,
    paused_at bigint,
    paused_ms bigint NOT NULL,
    pause_reason text COLLATE "C",
    held_state text COLLATE "C",
    hold bigint NOT NULL,
    awaiting_post bigint NOT NULL,
    cancel_asked bigint NOT NULL,
    ended_at bigint,
    cause_id text COLLATE "C",
    http_status bigint,
    error text COLLATE "C",
    answer_attempt bigint NOT NULL,
    wake_at bigint,                         -- when the engine must look at it
    kind text COLLATE "C",                  -- null: http
    may_post bigint NOT NULL,
    ended_url text COLLATE "C",
    excerpt text COLLATE "C",
    held_since bigint,
    trace text COLLATE "C",
    paused_ms_at bigint,
    repairs text COLLATE "C"
) WITH (fillfactor = 85);
CREATE INDEX step_wake ON step (wake_at, id) WHERE wake_at IS NOT NULL;

CREATE TABLE attempt (
    step_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    generation bigint NOT NULL,
    started_at bigint NOT NULL,
    ended_at bigint,
    counts_as text COLLATE "C",             -- success, failure, interruption, crash, late; null: in flight
    http_status bigint,
    error text COLLATE "C",
    delay_ms bigint,
    delay_by text COLLATE "C",
    answer_in bigint,                       -- the journal's entry that holds its answer
    epoch bigint NOT NULL,
    excerpt text COLLATE "C",
    PRIMARY KEY (step_id, number)
) WITH (fillfactor = 85);

CREATE TABLE outcome (
    step_id text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    answer_attempt bigint NOT NULL,
    http_status bigint,
    error text COLLATE "C",
    cause_id text COLLATE "C",
    ended_at bigint NOT NULL,
    PRIMARY KEY (step_id, generation)
);
CREATE FUNCTION outcome_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an outcome is written once' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER outcome_is_final BEFORE UPDATE ON outcome
FOR EACH ROW EXECUTE FUNCTION outcome_is_final();

CREATE TABLE body (             -- where bodies lie that neither `step` nor `attempt` names
    step_id text COLLATE "C" NOT NULL,
    answer bigint NOT NULL,
    number bigint NOT NULL,                 -- of the generation; of a result below 0
    entry bigint NOT NULL,                  -- the journal's
    PRIMARY KEY (step_id, answer, number)
);

CREATE TABLE tally (            -- runs by state, as `run` has them: nothing is ever counted
    state text COLLATE "C" PRIMARY KEY,
    runs bigint NOT NULL
) WITH (fillfactor = 30);

CREATE TABLE registry (         -- what people set at run time (engine/ports/registry.py)
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,        -- JSON
    at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE audit (            -- what people did (engine/ports/audit.py)
    id text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    address text COLLATE "C",
    act text COLLATE "C" NOT NULL,
    what text COLLATE "C" NOT NULL,
    detail text COLLATE "C" NOT NULL,
    status bigint,
    problem text COLLATE "C",
    count bigint NOT NULL,
    client text COLLATE "C",                -- of the run it is about, and of its step: names
    workflow text COLLATE "C",
    key text COLLATE "C",
    step text COLLATE "C"
);
CREATE INDEX audit_at ON audit (at);

CREATE TABLE expired (          -- runs that retention removed: so much of them stays
    run_id text COLLATE "C" PRIMARY KEY,
    client text COLLATE "C" NOT NULL,
    workflow text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    submitted_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    removed_at bigint
);
CREATE UNIQUE INDEX expired_identity ON expired (client, workflow, key);

CREATE TABLE carried (          -- what entries that were cut had of runs that stay
    run_id text COLLATE "C" NOT NULL,
    entry bigint NOT NULL,                  -- the journal's, which the rows of the run still name
    size bigint NOT NULL,                   -- of `packed`, in bytes, when unpacked
    packed bytea NOT NULL,
    large bytea,
    PRIMARY KEY (run_id, entry)
);
ALTER TABLE carried ALTER packed SET STORAGE EXTERNAL, ALTER large SET STORAGE EXTERNAL;

CREATE TABLE job (              -- what people had done in bulk (engine/ports/jobs.py)
    id text COLLATE "C" PRIMARY KEY,
    client text COLLATE "C",                -- the only one whose runs there were for who asked
    key text COLLATE "C",                   -- idempotency key
    total bigint NOT NULL,
    ended_at bigint,
    record text COLLATE "C" NOT NULL        -- all of it, JSON
);
CREATE INDEX job_key ON job (key) WHERE key IS NOT NULL;

CREATE TABLE job_run (          -- the runs of a job
    job_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    if_rev bigint,                          -- the revision it was found at, if it was at rest
    at bigint,                              -- when its turn came; null: it has not
    generation bigint,                      -- in which the action left its root
    refused text COLLATE "C",               -- the problem, if it was left alone
    PRIMARY KEY (job_id, run_id)
);

-- lower_case(text): of all letters, where "C" knows ASCII's alone. By the first collation that there
-- is: PostgreSQL's own is from 17 on, ICU's and the system's where it was built with them.
DO $$
DECLARE
    its text := (
        SELECT collname FROM pg_collation
        WHERE collname IN ('pg_c_utf8', 'und-x-icu', 'C.utf8', 'C.UTF-8')
            AND collencoding IN (-1, pg_char_to_encoding('UTF8'))
        ORDER BY array_position(ARRAY['pg_c_utf8', 'und-x-icu', 'C.utf8', 'C.UTF-8'], collname::text)
        LIMIT 1
    );
BEGIN
    EXECUTE format(
        'CREATE FUNCTION lower_case(it text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE'
        ' RETURN lower(it COLLATE %I)', coalesce(its, 'C')
    );
END $$;

-- Of a pattern of SQLite's GLOB, in which only `*` means something (store/tables/views/filter.py).
CREATE FUNCTION like_of_glob(pattern text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN replace(replace(replace(replace(replace(replace(
    pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'), '[[]', '['), '[?]', '?');
