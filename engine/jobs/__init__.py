"""Work that the engine does by itself. Knows neither HTTP nor what else runs."""
