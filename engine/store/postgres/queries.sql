-- set_floor: the last event that was cut
UPDATE mark SET floor = $1 WHERE seat = 0;

-- job_add_runs: runs to a job, each with its revision
INSERT INTO job_run (job_id, run_id, if_rev)
SELECT $1, it.value ->> 0, CAST(it.value ->> 1 AS bigint)
FROM jsonb_array_elements(CAST($2 AS jsonb)) AS it ON CONFLICT DO NOTHING;

-- bytes_used: what the tables and their indexes take
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace;
