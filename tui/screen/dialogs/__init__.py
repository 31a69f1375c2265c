"""What comes over the boards: questions, bodies, the palette."""
