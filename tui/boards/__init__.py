"""What stands where, without a screen."""
