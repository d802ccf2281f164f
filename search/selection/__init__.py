"""After the trials: candidates, confirmation, baseline, choice, the final model."""
