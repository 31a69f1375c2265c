"""What the engine does by itself."""
