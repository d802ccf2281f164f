"""Pretrained towers that can be cut between any two of their blocks, and how they are loaded."""
