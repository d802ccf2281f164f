"""What documents the project besides its README."""
