"""Image-text pairs: formats and checks, cleaning and preparation, splits, the demo data."""
