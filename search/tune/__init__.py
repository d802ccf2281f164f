"""Ray Tune on the study: tuner, searcher, scheduler, stopper, callbacks and checkpoints."""
