"""Who may ask for what, and what a client is: as values. `docs/reference/protocol.md` §7."""
