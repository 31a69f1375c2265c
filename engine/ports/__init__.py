"""The ports of the shell: small protocols without rules in them."""
