"""Atomic: durable workflows over plain HTTP."""

__version__ = "0.1.0"
