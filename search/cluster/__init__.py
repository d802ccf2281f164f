"""Ray core: the connection, its resources, and work on every node."""
