"""A search from its plan to its end: the order of its steps, and its record in the run folder."""
