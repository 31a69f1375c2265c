"""The store: one writer with group commit, and the databases that it may write to."""
