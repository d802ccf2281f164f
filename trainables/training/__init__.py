"""The epoch loop, lock-step folds, losses, metrics, optimiser, schedule and decision."""
