"""A store in memory: for tests of workflows, and the model of a database server that many share."""
