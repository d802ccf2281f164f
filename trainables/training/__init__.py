"""Training: folds in lock step, losses, sampling, optimiser and schedules."""
