"""Evaluation from labels and probabilities alone: scores, decisions, calibration, resampling."""
