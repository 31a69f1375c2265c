"""Copies of a file: made while it is written to, and given another name to live under."""
