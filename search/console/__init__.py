"""What is printed while a search runs and when it has ended."""
