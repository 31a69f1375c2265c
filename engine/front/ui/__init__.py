"""The pages for people, below `/ui`: HTML of the same snapshots as the API's. They only read."""
