"""What stands around a board: the bars, a run's headline, the help, why there are no rows."""
