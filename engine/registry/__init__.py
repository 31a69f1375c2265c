"""Which clients and tokens there are, of files and of the store."""
