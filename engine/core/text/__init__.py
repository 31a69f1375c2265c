"""Texts: JSON, its fingerprint, and the secrets that nobody should be shown."""
