"""Backbones cut in two, fusion and heads, and where pretrained weights come from."""
