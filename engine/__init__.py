"""Atomic: durable workflows over plain HTTP."""

__version__ = "0.1.0"
DEFAULT_ENGINE = "http://127.0.0.1:8420"
"""Where an engine is that was told nothing else."""
