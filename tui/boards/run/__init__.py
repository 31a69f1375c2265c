"""One run: its tree of steps, its details, its bodies, beside another."""
