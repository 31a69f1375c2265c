"""The blocking client, made from `aio/` by `just blocking`: change that, and not this."""
