"""The pure core: what a run may do next. No await, clock, chance, log or I/O."""
