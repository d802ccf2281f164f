"""Published results on this data set, shown beside a run's own and marked as such.

The lab validated on one stratified fifth of the labelled pairs (800 of 4,000) with the default
backbones of each model, on an RTX 5060. In its late-fusion rows the positive and negative columns
look swapped; they are given as published.
"""

from __future__ import annotations

import pandas as pd

_COLUMNS = (
    "run",
    "total_parameters",
    "trainable_parameters",
    "epochs",
    "f1_positive",
    "f1_neutral",
    "f1_negative",
    "accuracy",
    "macro_f1",
    "weighted_f1",
    "seconds",
)
_EARLY = (121_515_331, 97_668_675)
_LATE = (121_501_486, 83_479_140)
_LATE_TEXT = (109_679_875, 71_666_947)
_LATE_IMAGE = (11_821_611, 11_812_139)
_ROWS = (
    ("early fusion", *_EARLY, 6, 0.7992, 0.2321, 0.6509, 0.7125, 0.5607, 0.6955, 245),
    ("early fusion, text", *_EARLY, 7, 0.7201, 0.0, 0.4484, 0.6050, 0.3895, 0.5636, 268),
    ("early fusion, image", *_EARLY, 15, 0.7522, 0.2797, 0.5088, 0.6412, 0.5136, 0.6302, 494),
    ("late fusion, weighted", *_LATE, None, 0.5183, 0.2157, 0.7944, 0.6963, 0.5095, 0.6515, None),
    ("late fusion, vote", *_LATE, None, 0.5296, 0.2500, 0.7993, 0.7037, 0.5263, 0.6614, None),
    ("late fusion, text", *_LATE_TEXT, 6, 0.6028, 0.2545, 0.7891, 0.7025, 0.5488, 0.6775, 91),
    ("late fusion, image", *_LATE_IMAGE, 6, 0.3784, 0.2314, 0.7714, 0.6488, 0.4604, 0.5978, 48),
    ("CLIP", 151_409_412, 21_267_971, 6, 0.8354, 0.2804, 0.6968, 0.7600, 0.6042, 0.7359, 213),
    ("BLIP", 224_792_068, 33_538_563, 12, 0.8380, 0.0235, 0.6901, 0.7500, 0.5172, 0.7085, 1488),
    ("BLIP enhanced, fold 1 of 5", 224_858_116, 33_604_611, 16, 0.8069, 0.4138, 0.6539, 0.7262,
     0.6249, 0.7204, 9000),
)  # fmt: skip
MODELS = {
    "early_fusion": "early fusion",
    "late_fusion": "late fusion, vote",
    "clip": "CLIP",
    "blip": "BLIP",
    "blip_enhanced": "BLIP enhanced, fold 1 of 5",
}
"""The row that stands for each model with both modalities."""


def published() -> pd.DataFrame:
    """Return one row per published result, with the known columns of `Comparison.rows`."""
    return pd.DataFrame(_ROWS, columns=list(_COLUMNS))
