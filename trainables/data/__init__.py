"""Image-text pairs: formats and checks, text cleaning, image preparation, splits, the demo data."""
