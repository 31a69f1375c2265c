"""The asynchronous client, written by hand; `blocking/` is made from it."""
