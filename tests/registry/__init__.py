"""Tests of which clients and tokens there are."""
