"""Whether a file holds what it must: its pages, its journal, and rows that equal their events."""
