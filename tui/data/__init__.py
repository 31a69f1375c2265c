"""What is known of the engine."""
