"""How much may happen at once, and what is refused beyond it."""
