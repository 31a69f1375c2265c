"""What runs ask of the store and of the caller, and the front of the views: small protocols without
rules in them."""
