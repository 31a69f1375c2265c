"""The routes: a request becomes a call of the engine, its result an answer."""
