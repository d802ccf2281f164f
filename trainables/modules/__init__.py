"""Pretrained backbones split into prefix and suffix, fusion, and classification heads."""
