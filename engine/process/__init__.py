"""What every room may stand on: clocks, settings, tasks, the budget of bytes, the system."""
