"""What a key does, without a screen."""
