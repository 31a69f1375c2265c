"""What changes the engine: on one run or step, on many, and by hand."""
