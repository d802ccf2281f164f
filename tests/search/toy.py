"""A trainable for tests of the search: it scores at once, and goes wrong in the way it is told."""

from __future__ import annotations

import errno
import math
import time
from typing import Any

METRIC = "val_weighted_f1"
EPOCHS = 4


def make_trainable(seconds: float = 0.0) -> type:
    import numpy as np
    from ray import tune

    errors = {
        "crashes": RuntimeError("out of\nluck"),
        "disk": OSError(errno.ENOSPC, "No space left on device"),
    }

    class Toy(tune.Trainable):  # type: ignore[misc]  # local, so that Ray pickles it by value
        def setup(self, config: dict[str, Any]) -> None:
            self.reset_config(config)

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.params, self.epoch = new_config, 0
            return True

        def step(self) -> dict[str, Any]:
            self.epoch += 1
            time.sleep(seconds)
            kind, rate = self.params["kind"], self.params["rate"]
            score = 0.0 if kind == "weak" else 0.5 + rate / 10 + self.epoch / 100
            report = {"epoch": self.epoch, "train_loss": 1.0, "diverged": "", METRIC: score}
            report["done"] = self.epoch == EPOCHS
            if self.epoch == 2 and kind in errors:
                raise errors[kind]
            if self.epoch == 2 and kind == "hangs":
                time.sleep(36_000)  # longer than any test may take
            if self.epoch == 2 and kind == "diverges":
                return report | {METRIC: 0.0, "diverged": "loss is nan", "done": True}
            if self.epoch == 2 and kind == "lost":
                return report | {METRIC: math.nan}
            report["val_rows"] = np.arange(5)
            report["val_probabilities"] = np.full((5, 3), self.epoch / 16, dtype=np.float32)
            return report

    return Toy
