"""Pretrained towers that can be cut between any two of their blocks, and where they come from."""
