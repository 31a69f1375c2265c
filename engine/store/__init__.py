"""The embedded store: SQLite, one writer with group commit, read-only readers."""
