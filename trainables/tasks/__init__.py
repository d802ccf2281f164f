"""Work besides the trials: confirmation, the final model, the baseline, a profile."""
