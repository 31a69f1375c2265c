"""The commands that look after the file of an engine: `verify`, `compact`."""
