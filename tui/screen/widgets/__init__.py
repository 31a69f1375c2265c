"""What the dashboard's screen is made of."""
