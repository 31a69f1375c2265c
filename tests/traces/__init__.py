"""Tests of spans, and of how they come to a collector."""
