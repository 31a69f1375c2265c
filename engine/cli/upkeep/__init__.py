"""The commands that look after the file of an engine: copies, and whether all is well."""
