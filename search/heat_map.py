"""Pictures of what a model looked at: its input, and the same under a heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cividis at its ends and its middle: read alike with and without colour vision.
_COLD, _MIDDLE, _HOT = "#00224e", "#7d7c78", "#fee838"
_LEAST, _MOST = 0.15, 0.75  # how much of the picture the heat covers
_SIDE, _GAP, _CAPTION = 336, 8, 30
_PAPER, _INK = "#ffffff", "#1c1f24"


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> Image.Image:
    """Lay a heat map over an image.

    Args:
        pixels: Shape (3, S, S), uint8.
        heat: Shape (S, S), in [0, 1].

    Returns:
        The image, its cold places dark and its hot ones yellow.
    """
    grey = Image.fromarray((255 * heat.clip(0, 1)).round().astype(np.uint8))
    colours = ImageOps.colorize(grey, black=_COLD, white=_HOT, mid=_MIDDLE)
    strength = Image.fromarray((255 * (_LEAST + (_MOST - _LEAST) * heat)).astype(np.uint8))
    return Image.composite(colours, picture(pixels), strength)


def picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """Make an image of what a tower saw.

    Args:
        pixels: Shape (3, S, S), uint8.

    Returns:
        The image.
    """
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def side_by_side(
    pixels: NDArray[np.uint8], heat: NDArray[np.float32], caption: str
) -> Image.Image:
    """Show what a tower saw beside where it looked.

    Args:
        pixels: Shape (3, S, S), uint8.
        heat: Shape (S, S), in [0, 1].
        caption: What stands under both.

    Returns:
        One picture.
    """
    page = Image.new("RGB", (2 * _SIDE + _GAP, _SIDE + _CAPTION), _PAPER)
    size = (_SIDE, _SIDE)
    page.paste(picture(pixels).resize(size, Image.Resampling.BICUBIC), (0, 0))
    page.paste(overlay(pixels, heat).resize(size, Image.Resampling.BICUBIC), (_SIDE + _GAP, 0))
    font = ImageFont.load_default(size=16)
    ImageDraw.Draw(page).text((4, _SIDE + 6), caption, fill=_INK, font=font)
    return page
