"""The Optuna study: its space, sampler, storage, and how it is resumed; no ray, no torch."""
