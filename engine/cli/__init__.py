"""`atomic`: the command line."""
