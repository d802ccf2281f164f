"""Tables derived from the tables of one or several runs."""
