-- remove_attempts: of these runs, whose rows are a range for each; a semi-join would read the whole table
DELETE FROM attempt USING jsonb_array_elements_text(CAST($1 AS jsonb)) AS gone
WHERE attempt.step_id >= gone.value AND attempt.step_id < gone.value || '.';

-- remove_outcomes: of these runs, whose rows are a range for each; a semi-join would read the whole table
DELETE FROM outcome USING jsonb_array_elements_text(CAST($1 AS jsonb)) AS gone
WHERE outcome.step_id >= gone.value AND outcome.step_id < gone.value || '.';

-- remove_bodies: of these runs, whose rows are a range for each; a semi-join would read the whole table
DELETE FROM body USING jsonb_array_elements_text(CAST($1 AS jsonb)) AS gone
WHERE body.step_id >= gone.value AND body.step_id < gone.value || '.';

-- remove_steps: of these runs, whose rows are a range for each; a semi-join would read the whole table
DELETE FROM step USING jsonb_array_elements_text(CAST($1 AS jsonb)) AS gone
WHERE step.id >= gone.value AND step.id < gone.value || '.';

-- set_floor: the last event that was cut
UPDATE mark SET floor = $1 WHERE seat = 0;

-- job_add_runs: runs to a job, each with its revision
INSERT INTO job_run (job_id, run_id, if_rev)
SELECT $1, it.value ->> 0, CAST(it.value ->> 1 AS bigint)
FROM jsonb_array_elements(CAST($2 AS jsonb)) AS it ON CONFLICT DO NOTHING;

-- bytes_used: what the tables and their indexes take
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace;
