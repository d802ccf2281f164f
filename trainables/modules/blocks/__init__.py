"""What split towers are made of: pieces, transformer blocks split at attention, unpadded text."""
