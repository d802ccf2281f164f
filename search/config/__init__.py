"""From the command line to a checked plan; no ray, no torch."""
