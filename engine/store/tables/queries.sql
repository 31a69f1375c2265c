-- find_run: the identity of a run
SELECT id FROM run WHERE client = ? AND workflow = ? AND key = ?;

-- find_expired: the key of a run that retention removed, by its identity
SELECT run_id, client, workflow, key, state, submitted_at, ended_at, removed_at FROM expired
WHERE client = ? AND workflow = ? AND key = ?;

-- expired_of_key: the same by the key alone, or with a client or a workflow: a look into that index for each client and workflow
WITH RECURSIVE whose (client, n) AS (
    SELECT min(client), 1 FROM expired
    UNION ALL
    SELECT (SELECT min(client) FROM expired WHERE client > whose.client), n + 1
    FROM whose WHERE client IS NOT NULL AND n < ?5
), pair (client, workflow, n) AS (
    SELECT client, (SELECT min(workflow) FROM expired WHERE client = whose.client), 1
    FROM whose WHERE client IS NOT NULL AND (CAST(?2 AS text) IS NULL OR client = ?2)
    UNION ALL
    SELECT client, (
        SELECT min(workflow) FROM expired WHERE client = pair.client AND workflow > pair.workflow
    ), n + 1 FROM pair WHERE workflow IS NOT NULL AND n < ?5
)
SELECT run_id, it.client, it.workflow, key, state, submitted_at, ended_at, removed_at
FROM pair CROSS JOIN expired AS it ON it.client = pair.client AND it.workflow = pair.workflow
WHERE key = ?1 AND (CAST(?3 AS text) IS NULL OR it.workflow = ?3) ORDER BY run_id DESC LIMIT ?4;

-- expired: the key of such a run, by its id
SELECT run_id, client, workflow, key, state, submitted_at, ended_at, removed_at FROM expired
WHERE run_id = ?;

-- ended_runs: those that ended before a time, by id; a later id is of a run that began later
SELECT run.id, run.steps FROM run JOIN step AS root ON root.id = run.id
WHERE run.state = ? AND run.id > ? AND run.id < ? AND run.open_steps = 0 AND root.ended_at < ?
ORDER BY run.id LIMIT ?;

-- may_expire: of these runs, those that have ended, and of which the tables know all
SELECT run.id, run.state, root.ended_at FROM run JOIN step AS root ON root.id = run.id
WHERE run.id IN (SELECT value FROM json_each(?)) AND root.ended_at IS NOT NULL
    AND run.state IN ('completed', 'failed', 'cancelled') AND run.open_steps = 0
    AND run.seq <= (SELECT caught_up FROM engine);

-- keep_keys: of runs that go
INSERT INTO expired (run_id, client, workflow, key, state, submitted_at, ended_at, removed_at)
SELECT run.id, run.client, run.workflow, run.key, run.state, run.submitted_at, root.ended_at,
    CAST(?2 AS bigint)
FROM run JOIN step AS root ON root.id = run.id
WHERE run.id IN (SELECT value FROM json_each(?1));

-- remove_attempts: of these runs
DELETE FROM attempt WHERE (step_id, number) IN (
    SELECT its.step_id, its.number FROM json_each(?) AS gone
    CROSS JOIN attempt AS its ON its.step_id >= gone.value AND its.step_id < gone.value || '.'
);

-- remove_outcomes: of these runs
DELETE FROM outcome WHERE (step_id, generation) IN (
    SELECT its.step_id, its.generation FROM json_each(?) AS gone
    CROSS JOIN outcome AS its ON its.step_id >= gone.value AND its.step_id < gone.value || '.'
);

-- remove_bodies: of these runs
DELETE FROM body WHERE (step_id, answer, number) IN (
    SELECT its.step_id, its.answer, its.number FROM json_each(?) AS gone
    CROSS JOIN body AS its ON its.step_id >= gone.value AND its.step_id < gone.value || '.'
);

-- remove_steps: of these runs
DELETE FROM step WHERE id IN (
    SELECT its.id FROM json_each(?) AS gone
    CROSS JOIN step AS its ON its.id >= gone.value AND its.id < gone.value || '.'
);

-- remove_carried: of these runs
DELETE FROM carried WHERE run_id IN (SELECT value FROM json_each(?));

-- remove_runs: when nothing of them is left
DELETE FROM run WHERE id IN (SELECT value FROM json_each(?));

-- old_keys: of expired runs that ended before a time, by id
SELECT run_id FROM expired WHERE run_id > ? AND run_id < ? AND ended_at < ? ORDER BY run_id LIMIT ?;

-- forget_keys: of these runs
DELETE FROM expired WHERE run_id IN (SELECT value FROM json_each(?)) AND ended_at < ?;

-- open_runs: of a client. Those that are open are looked through, not all that it ever had.
SELECT count(*) FROM run
WHERE state IN ('pending', 'running', 'backing-off', 'waiting', 'paused') AND +client = ?;

-- open_by_client: open runs, by whose they are
SELECT client, count(*) AS runs FROM run
WHERE state IN ('pending', 'running', 'backing-off', 'waiting', 'paused') GROUP BY client;

-- client_of: whose run it is
SELECT client FROM run WHERE id = ?;

-- clients_of: whose runs these are, or were before they expired
SELECT id, client FROM run WHERE id IN (SELECT value FROM json_each(?1))
UNION ALL
SELECT run_id, client FROM expired WHERE run_id IN (SELECT value FROM json_each(?1));

-- names: what a run, and a step of it, is called
SELECT run.client, run.workflow, run.key, step.name, step.step_key
FROM run LEFT JOIN step ON step.id = ?2 AND step.run_id = run.id WHERE run.id = ?1;

-- run: one run's own row
SELECT * FROM run WHERE id = ?;

-- steps: the steps of a run; they are neighbours in the table
SELECT step.*, run.workflow AS run_workflow, run.key AS run_key FROM step JOIN run ON run.id = ?1
WHERE step.id >= ?1 AND step.id < ?1 || '.' ORDER BY step.ordinal;

-- step: one step
SELECT step.*, run.workflow AS run_workflow, run.key AS run_key, run.engine_error
FROM step JOIN run ON run.id = step.run_id WHERE step.id = ?;

-- outline: what a page of a run is laid out by; of a stopped run (?2) nothing that is open moves
SELECT id, CASE WHEN depth > 1 THEN parent_id WHEN depth = 1 THEN ?1 END AS parent_id, name,
    CASE WHEN ?2 AND ended_at IS NULL THEN 'paused' ELSE state END AS state,
    submitted_at, ended_at, due_at, repairs IS NOT NULL AS by_hand
FROM step WHERE id >= ?1 AND id < ?1 || '.' ORDER BY ordinal;

-- some_steps: some steps of a run
SELECT step.*, run.workflow AS run_workflow, run.key AS run_key, run.engine_error
FROM json_each(?2) AS asked JOIN step ON step.id = asked.value JOIN run ON run.id = ?1
WHERE step.id >= ?1 AND step.id < ?1 || '.' ORDER BY step.ordinal;

-- latest_attempts: of some steps, so many of each
SELECT attempt.* FROM json_each(?1) AS asked JOIN attempt ON attempt.step_id = asked.value
WHERE attempt.number > (SELECT max(number) FROM attempt AS last WHERE last.step_id = asked.value) - ?2
ORDER BY attempt.step_id, attempt.number;

-- attempts: every attempt of a run
SELECT * FROM attempt WHERE step_id >= ?1 AND step_id < ?1 || '.' ORDER BY step_id, number;

-- attempts_max: of each step of a run that was called the latest attempt
SELECT step_id, max(number) FROM attempt WHERE step_id >= ?1 AND step_id < ?1 || '.'
GROUP BY step_id;

-- step_attempts: every attempt of a step
SELECT * FROM attempt WHERE step_id = ? ORDER BY number;

-- payload_in: the journal's entry with a step's payload
SELECT payload_in FROM step WHERE id = ? AND payload_generation = ?;

-- answer_in: the journal's entry with an attempt's answer
SELECT answer_in FROM attempt WHERE step_id = ? AND number = ?;

-- body_in: the journal's entry with a result that was set, or a payload that another was set for
SELECT entry FROM body WHERE step_id = ? AND number = ? AND answer = ?;

-- payload_of: the number of the payload with which a generation of a step was called
SELECT max(number) FROM (
    SELECT payload_generation AS number FROM step WHERE id = ?1
    UNION ALL SELECT number FROM body WHERE step_id = ?1 AND answer = 0
) AS numbers WHERE number <= ?2;

-- outcomes: those of all generations of a run's steps
SELECT step_id, generation, state, attempts, answer_attempt, http_status, error, cause_id, ended_at
FROM outcome WHERE step_id >= ?1 AND step_id < ?1 || '.' ORDER BY step_id, generation;

-- packed: the compressed part of an entry
SELECT packed FROM journal WHERE seq = ?;

-- large: a part of an entry's large bodies
SELECT substr(large, ?, ?) FROM journal WHERE seq = ?;

-- carried_packed: the compressed part of what an entry that was cut had of a run
SELECT packed FROM carried WHERE run_id = ? AND entry = ?;

-- carried_large: a part of the large bodies of such a one
SELECT substr(large, ?, ?) FROM carried WHERE run_id = ? AND entry = ?;

-- carried_of: all that entries which were cut had of a run
SELECT entry, packed FROM carried WHERE run_id = ? ORDER BY entry;

-- oldest_entries: the beginning of the journal, without the last entry, behind which numbers go on
SELECT seq, events, at, packed, coalesce(length(large), 0) AS large FROM journal
WHERE seq < (SELECT max(seq) FROM journal) ORDER BY seq LIMIT ?;

-- old: what a cut of the journal at a time takes, and what stays behind it (times rise with numbers)
WITH bounds AS MATERIALIZED (
    SELECT floor + 1 AS first, coalesce(
        (SELECT seq FROM journal WHERE seq > floor AND (at >= ?1 OR seq + events - 1 > caught_up)
         ORDER BY seq LIMIT 1),
        (SELECT max(seq) FROM journal), floor + 1
    ) AS stays FROM engine
)
SELECT stays - first AS events,
    (SELECT coalesce(sum(length(packed) + coalesce(length(large), 0)), 0) FROM journal
     WHERE seq >= first AND seq < stays) AS bytes,
    (SELECT coalesce(max(seq + events), first) FROM journal) - stays AS events_behind,
    (SELECT count(*) FROM run WHERE id < ?2) AS runs,
    (SELECT count(*) FROM run WHERE id >= ?2) AS runs_behind
FROM bounds;

-- there: of these runs, those that are there
SELECT id FROM run WHERE id IN (SELECT value FROM json_each(?));

-- have_gone: of these runs, those whose keys are kept
SELECT run_id FROM expired WHERE run_id IN (SELECT value FROM json_each(?));

-- cut_journal: the entries up to an event
DELETE FROM journal WHERE seq <= ?;

-- set_floor: the last event that was cut
UPDATE engine SET floor = ?;

-- root_called: what a run's root is called
SELECT state, rev, url, name, attempts, failures FROM step WHERE id = ?;

-- stop_run: a bug stopped the run; its row may lack events from before, then its `seq` stays
UPDATE run SET state = ?, rev = min(rev, 1 << 53) + ?, cause = ?, stuck_at = ?, engine_error = ?,
    engine_error_seq = ?, seq = CASE WHEN ? THEN ? ELSE seq END
WHERE id = ?;

-- stop_steps: nothing of it is looked for any more
UPDATE step SET wake_at = NULL, rev = min(rev, 1 << 53) + CAST(id = :run AS int)
WHERE id >= :run AND id < :run || '.';

-- end_run: a stopped run is ended as it is
UPDATE run SET state = ?, rev = min(rev, 1 << 53) + ?, open_steps = 0,
    progress = min(progress, 1 << 53) + ?, cause = NULL, stuck_at = NULL, seq = ?
WHERE id = ?;

-- end_outcomes: the outcomes of what was open of it
INSERT INTO outcome (step_id, generation, state, attempts, answer_attempt, http_status, error,
    cause_id, ended_at)
SELECT id, generation, 'cancelled', attempts, answer_attempt, http_status, error, cause_id, :at
FROM step WHERE id >= :run AND id < :run || '.'
    AND state NOT IN ('completed', 'failed', 'cancelled')
ON CONFLICT DO NOTHING;

-- end_steps: what was open of it is cancelled
UPDATE step SET state = 'cancelled', rev = min(rev, 1 << 53) + 1, wake_at = NULL, due_at = NULL, delay_ms = 0,
    delay_by = NULL, hold = 0, cancel_asked = 0, awaiting_post = 0, paused_at = NULL,
    pause_reason = NULL, held_state = NULL, held_since = NULL, ended_at = :at
WHERE id >= :run AND id < :run || '.' AND state NOT IN ('completed', 'failed', 'cancelled');

-- let_go_on: a stopped run is to be loaded like any other
UPDATE run SET engine_error = '', seq = ? WHERE id = ?;

-- let_steps_go_on: all that is open of it is looked for again
UPDATE step SET wake_at = CASE
    WHEN held_since IS NOT NULL THEN 1 << 62
    WHEN id = :run THEN 0
    WHEN state = 'backing-off' THEN due_at
    WHEN state = 'running' OR state = 'pending' AND awaiting_post = 0 THEN 0
END WHERE id >= :run AND id < :run || '.' AND state NOT IN ('completed', 'failed', 'cancelled');

-- root_acted: an action was recorded on a run's root
UPDATE step SET rev = min(rev, 1 << 53) + 1 WHERE id = ?;

-- due: steps the engine must look at, from just behind a row
SELECT wake_at, id FROM step
WHERE wake_at IS NOT NULL AND (wake_at, id) > (?, ?) AND wake_at <= ?
ORDER BY wake_at, id LIMIT ?;

-- held: steps that a hold keeps from starting, from just behind one
SELECT step.id, step.url, run.client, run.workflow FROM step JOIN run ON run.id = step.run_id
WHERE step.wake_at = 1 << 62 AND step.id > ? ORDER BY step.id LIMIT ?;

-- held_counts: the same, by what holds can be about
SELECT run.client, run.workflow,
    substr(step.url, 1, instr(step.url, '://') + 2 + instr(substr(step.url, instr(step.url, '://') + 3), '/')) AS url,
    count(*) AS steps
FROM step JOIN run ON run.id = step.run_id WHERE step.wake_at = 1 << 62
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- run_record: a run's row for lists
SELECT run.id, run.client, run.workflow, run.key, run.state, run.rev, run.dismissed, run.steps,
    run.open_steps, run.failed_steps, run.submitted_at, coalesce(root.generation, 1) AS generation, root.ended_at,
    CASE WHEN run.engine_error <> '' AND run.state = 'paused' THEN 'engine-error'
        ELSE root.pause_reason END AS pause_reason,
    root.cause_id, coalesce(nullif(run.engine_error, ''), root.error) AS error, run.cause, run.stuck_at,
    run.engine_error, run.moves, run.notes,
    CASE WHEN run.state = 'backing-off' THEN (
        SELECT min(due_at) FROM step
        WHERE step.id >= run.id AND step.id < run.id || '.' AND step.state = 'backing-off'
    ) END AS due_at
FROM run LEFT JOIN step AS root ON root.id = run.id;

-- step_at: a step of a run for lists, with the beginning of its latest attempt
SELECT step.id, step.name, step.url, step.state, step.attempts, step.failures, step.retry,
    step.due_at, step.delay_by, step.pause_reason, step.http_status, step.error, step.excerpt,
    step.cause_id, step.ended_at, step.repairs, attempt.started_at
FROM step LEFT JOIN attempt ON attempt.step_id = step.id AND attempt.number = step.attempts;

-- causes: why runs need a person, with the latest run of each
SELECT cause, count(*) AS runs, count(CASE WHEN stuck_at > ? THEN 1 END) AS new_runs,
    min(stuck_at) AS first_at, max(stuck_at) AS last_at, (
        SELECT latest.id FROM run AS latest WHERE latest.cause = run.cause
        ORDER BY latest.stuck_at DESC, latest.id DESC LIMIT 1
    ) AS id
FROM run WHERE cause IS NOT NULL GROUP BY cause HAVING cause NOT IN (SELECT value FROM json_each(?))
ORDER BY runs DESC, last_at DESC, cause LIMIT ?;

-- client_runs: runs of a client in a state (counted up to a bound)
SELECT count(*) FROM (SELECT 1 FROM run WHERE client = ? AND state = ? LIMIT ?) AS found;

-- client_stuck: runs of a client that need a person (counted up to a bound)
SELECT count(*) FROM (SELECT 1 FROM run WHERE client = ? AND cause IS NOT NULL LIMIT ?) AS found;

-- client_causes: why runs of a client need a person, with the latest run of each
SELECT cause, count(*) AS runs, count(CASE WHEN stuck_at > ?1 THEN 1 END) AS new_runs,
    min(stuck_at) AS first_at, max(stuck_at) AS last_at, (
        SELECT latest.id FROM run AS latest
        WHERE latest.client = ?2 AND latest.cause = run.cause
        ORDER BY latest.stuck_at DESC, latest.id DESC LIMIT 1
    ) AS id
FROM run WHERE client = ?2 AND cause IS NOT NULL
GROUP BY cause HAVING cause NOT IN (SELECT value FROM json_each(?3))
ORDER BY runs DESC, last_at DESC, cause LIMIT ?4;

-- stuck_of: of these causes, how many runs need a person, and since when the latest does
SELECT asked.value AS cause, count(*) AS runs, max(run.stuck_at) AS last_at
FROM json_each(?) AS asked JOIN run ON run.cause = asked.value GROUP BY asked.value;

-- client_stuck_of: the same of runs of a client
SELECT asked.value AS cause, count(*) AS runs, max(run.stuck_at) AS last_at
FROM json_each(?) AS asked JOIN run ON run.client = ? AND run.cause = asked.value
GROUP BY asked.value;

-- stuck_count: runs that need a person
SELECT count(*) FROM run WHERE cause IS NOT NULL;

-- late_runs: runs that are open since before a time, by what they are of (among the oldest open: of each state so many are taken as they lie, not all that are open sorted)
SELECT run.client, run.workflow, count(*) AS looked_at,
    count(CASE WHEN step.opened_at < ?2 THEN 1 END) AS runs,
    min(CASE WHEN step.opened_at < ?2 THEN run.id END) AS id
FROM (
    SELECT id FROM (SELECT id FROM run WHERE state = 'pending' AND id < ?1 ORDER BY id LIMIT ?3) AS the_pending
    UNION ALL SELECT id FROM (SELECT id FROM run WHERE state = 'running' AND id < ?1 ORDER BY id LIMIT ?3) AS the_running
    UNION ALL SELECT id FROM (SELECT id FROM run WHERE state = 'backing-off' AND id < ?1 ORDER BY id LIMIT ?3) AS the_backing_off
    UNION ALL SELECT id FROM (SELECT id FROM run WHERE state = 'waiting' AND id < ?1 ORDER BY id LIMIT ?3) AS the_waiting
    ORDER BY id LIMIT ?3
) AS old CROSS JOIN run ON run.id = old.id
CROSS JOIN step ON step.id = old.id  /* one that was opened again is younger than its id */
GROUP BY run.client, run.workflow ORDER BY run.client, run.workflow;

-- known_causes: why runs need a person (some of it)
SELECT DISTINCT cause FROM run WHERE cause IS NOT NULL LIMIT 10000;

-- causes_left: of these, those for which runs still do
SELECT asked.value FROM json_each(?1) AS asked
WHERE EXISTS (SELECT 1 FROM run WHERE run.cause = asked.value);

-- due_between: attempts that are due within a time (counted up to a bound)
SELECT count(*) FROM (
    SELECT 1 FROM step WHERE wake_at > 0 AND wake_at >= ? AND wake_at < ? LIMIT ?
) AS found;

-- timed_behind: a stretch of the attempts that have a time
SELECT wake_at, id FROM step WHERE (wake_at, id) > (?, ?) AND wake_at < 1 << 62
ORDER BY wake_at, id LIMIT ?;

-- retries: steps that have a time, with what is told of their runs
SELECT step.id, step.name, step.url, step.state, step.attempts, step.failures, step.retry, step.rev,
    step.due_at, step.delay_by, step.pause_reason, step.http_status, step.error, step.excerpt,
    attempt.started_at, run.client, run.workflow AS run_workflow
FROM step JOIN run ON run.id = step.run_id
LEFT JOIN attempt ON attempt.step_id = step.id AND attempt.number = step.attempts;

-- late: attempts that are overdue (counted up to a bound)
SELECT count(*) FROM (SELECT 1 FROM step WHERE wake_at > 0 AND wake_at < ? LIMIT 10000) AS found;

-- timed: attempts that have a time (counted up to a bound)
SELECT count(*) FROM (SELECT 1 FROM step WHERE wake_at > 0 AND wake_at < 1 << 62 LIMIT 10000) AS found;

-- jobs_under_way: bulk jobs that have not ended
SELECT id, record FROM job WHERE ended_at IS NULL ORDER BY id;

-- jobs_kept: those that have
SELECT id, client, total, ended_at FROM job WHERE ended_at IS NOT NULL ORDER BY ended_at, id;

-- jobs_with_runs_behind: the next job of which there are runs
SELECT job_id FROM job_run WHERE job_id > ? ORDER BY job_id LIMIT 1;

-- job: one of them
SELECT id, record FROM job WHERE id = ?;

-- job_of_key: the one that was begun with this key
SELECT id, record FROM job WHERE key = ?1 AND (client = ?2 OR client IS NULL AND CAST(?2 AS text) IS NULL)
ORDER BY id DESC LIMIT 1;

-- jobs: the latest first, from just behind one
SELECT id, record FROM job WHERE (CAST(?1 AS text) IS NULL OR client = ?1) AND (CAST(?2 AS text) IS NULL OR id < ?2)
ORDER BY id DESC;

-- job_add_runs: runs to a job, each with its revision
INSERT OR IGNORE INTO job_run (job_id, run_id, if_rev)
SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?);

-- job_to_do: runs of a job whose turn has not come
SELECT run_id, if_rev FROM job_run WHERE job_id = ? AND run_id > ? AND at IS NULL
ORDER BY run_id LIMIT ?;

-- job_came: what came of the runs that a job acted on, by the generation it left each in, or the next that ended
SELECT coalesce(outcome.state, run.state, 'expired') AS state,
    CASE WHEN outcome.state = 'failed' THEN coalesce(fault.http_status, outcome.http_status) END AS http_status,
    CASE WHEN outcome.state = 'failed' THEN coalesce(fault.error, outcome.error) END AS error,
    count(*) AS runs
FROM job_run
LEFT JOIN run ON run.id = job_run.run_id
LEFT JOIN step AS root ON root.id = job_run.run_id
LEFT JOIN outcome ON outcome.step_id = job_run.run_id
    AND outcome.generation = (SELECT min(generation) FROM outcome AS it
        WHERE it.step_id = job_run.run_id
        AND it.generation >= coalesce(job_run.generation, root.generation))
LEFT JOIN outcome AS fault ON fault.step_id = outcome.cause_id
    AND fault.generation = (SELECT max(generation) FROM outcome AS it
        WHERE it.step_id = outcome.cause_id AND it.ended_at <= outcome.ended_at)
WHERE job_run.job_id = ? AND job_run.at IS NOT NULL AND job_run.refused IS NULL
GROUP BY 1, 2, 3 ORDER BY 1, 2 NULLS FIRST, 3 NULLS FIRST;

-- job_ends: the same of each of the first
SELECT job_run.run_id, coalesce(outcome.state, expired.state) AS state,
    run.id IS NULL AS is_gone, root.generation = outcome.generation AS is_latest
FROM job_run
LEFT JOIN run ON run.id = job_run.run_id
LEFT JOIN step AS root ON root.id = job_run.run_id
LEFT JOIN outcome ON outcome.step_id = job_run.run_id
    AND outcome.generation = (SELECT min(generation) FROM outcome AS it
        WHERE it.step_id = job_run.run_id
        AND it.generation >= coalesce(job_run.generation, root.generation))
LEFT JOIN expired ON expired.run_id = job_run.run_id
WHERE job_run.job_id = ? AND job_run.at IS NOT NULL AND job_run.refused IS NULL
ORDER BY job_run.run_id LIMIT ?;

-- tally: runs by state
SELECT state, runs FROM tally WHERE runs != 0;

-- journal_from: the entries with what was committed behind an event
SELECT seq, packed FROM journal
WHERE seq >= coalesce((SELECT max(seq) FROM journal WHERE seq <= ?1 + 1), 0)
ORDER BY seq LIMIT ?2;

-- journal_next: the entries behind one
SELECT seq, packed FROM journal WHERE seq > ? ORDER BY seq LIMIT ?;

-- journal_times: entries from one on without what is in them, up to a number of them
SELECT seq, events, at FROM journal WHERE seq >= ? ORDER BY seq LIMIT ?;

-- journal_back: the entries before one without what is in them, the last one first
SELECT seq, events, at FROM journal WHERE seq < ? ORDER BY seq DESC LIMIT ?;

-- journal_span: where the kept events begin and end
SELECT coalesce((SELECT min(seq) FROM journal), 0),
    coalesce((SELECT seq + events - 1 FROM journal ORDER BY seq DESC LIMIT 1), 0);

-- bytes_used: what the pages take that hold something
SELECT page_size * (page_count - freelist_count)
FROM pragma_page_size, pragma_page_count, pragma_freelist_count;
