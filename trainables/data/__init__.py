"""Image-text pairs: file formats and checks, preprocessing, splits, and the demo data."""
