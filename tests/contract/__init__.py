"""The contract as it was recorded, and whether the engine still keeps it."""
