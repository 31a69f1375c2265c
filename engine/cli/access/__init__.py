"""`atomic setup`: who may ask, and for whom."""
