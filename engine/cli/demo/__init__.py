"""`atomic demo`: an engine, an application and their work, to look at."""
