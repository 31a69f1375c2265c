"""What takes a file of today back to an older schema."""

TO_M002 = (
    "ALTER TABLE run DROP COLUMN engine_error",
    "ALTER TABLE run DROP COLUMN engine_error_seq",
    "ALTER TABLE step DROP COLUMN may_post",
    "ALTER TABLE step DROP COLUMN ended_url",
    "ALTER TABLE run DROP COLUMN moves",
    "ALTER TABLE step DROP COLUMN excerpt",
    "ALTER TABLE attempt DROP COLUMN excerpt",
    "DROP TABLE registry",
    "DROP TABLE audit",
    "ALTER TABLE step DROP COLUMN trace",
    "ALTER TABLE step DROP COLUMN paused_ms_at",
    "ALTER TABLE step DROP COLUMN held_since",
    "DROP INDEX run_of_client",
    "DROP INDEX run_cause_of_client",
    "DROP TABLE expired",
    "DROP TABLE carried",
    "DROP TABLE body",
    "ALTER TABLE run DROP COLUMN notes",
    "ALTER TABLE step DROP COLUMN repairs",
    "ALTER TABLE engine DROP COLUMN floor",
    "DROP TABLE job",
    "DROP TABLE job_run",
    "DELETE FROM _sqlite_migrations WHERE name > 'm003'",
)
TO_M016 = (
    "ALTER TABLE audit DROP COLUMN client",
    "ALTER TABLE audit DROP COLUMN workflow",
    "ALTER TABLE audit DROP COLUMN key",
    "ALTER TABLE audit DROP COLUMN step",
    "ALTER TABLE expired DROP COLUMN removed_at",
    "ALTER TABLE run DROP COLUMN notes",
    "DELETE FROM _sqlite_migrations WHERE name >= 'm017'",
)
TO_M001 = (
    *TO_M002,
    "DROP INDEX run_cause",
    "ALTER TABLE run DROP COLUMN cause",
    "ALTER TABLE run DROP COLUMN stuck_at",
    "DELETE FROM _sqlite_migrations WHERE name > 'm002'",
)
