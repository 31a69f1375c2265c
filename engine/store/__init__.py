"""The store: one writer with group commit, whatever it writes to; and SQLite, embedded."""
