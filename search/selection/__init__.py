"""What comes after the trials: candidates, confirmation, baseline, choice, the final model."""
