"""What comes over the boards: questions, the help."""
