"""Tells a person what is wrong with runs, hosts and the engine's room, by calls of its own."""
