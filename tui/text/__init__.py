"""Texts from others: made safe, redacted, and told in few characters."""
