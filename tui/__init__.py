"""The dashboard: an operator sees every step and countdown of an engine, and can act on them."""
