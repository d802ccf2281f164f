"""What a cut tower is made of: pieces, opened transformer blocks, packed tokens."""
