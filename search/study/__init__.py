"""The Optuna study: its space, sampler, storage, and how it goes on; no ray, no torch."""
