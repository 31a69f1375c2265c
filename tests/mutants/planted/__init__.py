"""The bugs, one file for each section of the engine. Files here are found by themselves."""
