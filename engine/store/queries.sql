-- find_run: the identity of a run
SELECT id FROM run WHERE client = ? AND workflow = ? AND key = ?;

-- run: one run's own row
SELECT * FROM run WHERE id = ?;

-- steps: the steps of a run; they are neighbours in the table
SELECT * FROM step WHERE id >= ?1 AND id < ?1 || '.' ORDER BY ordinal;

-- step: one step
SELECT * FROM step WHERE id = ?;

-- attempts: every attempt of a run
SELECT * FROM attempt WHERE step_id >= ?1 AND step_id < ?1 || '.' ORDER BY step_id, number;

-- step_attempts: every attempt of a step
SELECT * FROM attempt WHERE step_id = ? ORDER BY number;

-- body: a payload (answer = 0) or an attempt's answer (answer = 1)
SELECT * FROM body WHERE step_id = ? AND answer = ? AND number = ?;

-- due: steps the engine must look at, from just behind a row
SELECT wake_at, id, run_id FROM step
WHERE wake_at IS NOT NULL AND (wake_at, id) > (?, ?) AND wake_at <= ?
ORDER BY wake_at, id LIMIT ?;

-- run_record: a run's row for lists
SELECT run.id, run.client, run.workflow, run.key, run.state, run.rev, run.dismissed, run.steps,
    run.open_steps, run.failed_steps, run.submitted_at, root.generation, root.ended_at,
    root.pause_reason, root.cause_id, root.error,
    CASE WHEN run.state = 'backing-off' THEN (
        SELECT min(due_at) FROM step
        WHERE step.id >= run.id AND step.id < run.id || '.' AND step.state = 'backing-off'
    ) END AS due_at
FROM run JOIN step AS root ON root.id = run.id;

-- late: attempts that are overdue (counted up to a bound)
SELECT count(*) FROM (SELECT 1 FROM step WHERE wake_at > 0 AND wake_at < ? LIMIT 10000);

-- timed: attempts that have a time (counted up to a bound)
SELECT count(*) FROM (SELECT 1 FROM step WHERE wake_at > 0 LIMIT 100000);

-- tally: runs by state
SELECT state, runs FROM tally WHERE runs != 0;

-- events: what was committed behind a sequence number
SELECT * FROM event WHERE seq > ? ORDER BY seq LIMIT ?;

-- first_event: where the kept events begin
SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM event;
