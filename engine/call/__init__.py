"""HTTP out: one attempt becomes one outcome."""
