"""Ray core: the connection, what it has to give, and work on every node."""
