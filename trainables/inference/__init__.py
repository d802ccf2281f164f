"""Trained models on disk and what they say of new pairs."""
