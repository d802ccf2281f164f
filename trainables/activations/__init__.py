"""Outputs of frozen prefixes, computed once and shared by every trial."""
