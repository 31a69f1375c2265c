"""`atomic client`, `atomic token`, `atomic setup`: who may ask, and for whom."""
