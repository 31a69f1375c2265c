"""What those who may do everything ask for: clients and tokens."""
