"""Trained models on disk, and their predictions of new pairs."""
