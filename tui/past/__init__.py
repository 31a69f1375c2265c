"""What was: a run at each moment of its own time."""
