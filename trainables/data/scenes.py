"""Small drawn weather scenes: the images of the demo data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    _Colour = tuple[int, int, int]

SIDE = 96

# Sky and ground by cue: sunny, grey, stormy; distinct enough for a tiny network.
_COLOURS: Mapping[int, tuple[_Colour, _Colour]] = {
    1: ((90, 185, 250), (100, 195, 60)),
    0: ((165, 165, 170), (125, 130, 120)),
    -1: ((40, 30, 70), (25, 30, 25)),
}
_SUN = (255, 215, 30)
_CLOUD = (205, 205, 210)
_RAIN = (80, 90, 150)
_BOLT = (255, 245, 130)
_JITTER = 15


def draw_scene(cue: int, rng: random.Random) -> Image.Image:
    """Draw a landscape whose weather shows the cue.

    Args:
        cue: 1 for sunshine, 0 for grey clouds, -1 for a thunderstorm.
        rng: Chooses shades, positions and sizes.

    Returns:
        The scene, mode RGB, `SIDE` x `SIDE` pixels.
    """
    sky, ground = (_shade(colour, rng) for colour in _COLOURS[cue])
    image = Image.new("RGB", (SIDE, SIDE), sky)
    draw = ImageDraw.Draw(image)
    horizon = rng.randint(58, 76)
    hill = rng.randint(-40, 60)
    draw.ellipse((hill, horizon - 10, hill + 80, horizon + 30), ground)
    draw.rectangle((0, horizon, SIDE, SIDE), ground)
    {1: _sun, 0: _clouds, -1: _storm}[cue](draw, rng)
    return image


def _sun(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    x, y, radius = rng.randint(20, 76), rng.randint(16, 36), rng.randint(10, 16)
    draw.circle((x, y), radius, _shade(_SUN, rng))


def _clouds(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    for _ in range(rng.randint(3, 6)):
        x, y, width = rng.randint(-10, 70), rng.randint(2, 40), rng.randint(24, 44)
        draw.ellipse((x, y, x + width, y + width // 2), _shade(_CLOUD, rng))


def _storm(draw: ImageDraw.ImageDraw, rng: random.Random) -> None:
    for _ in range(rng.randint(15, 30)):
        x, y = rng.randint(0, SIDE), rng.randint(0, 70)
        draw.line((x, y, x - 3, y + 9), _shade(_RAIN, rng))
    x = rng.randint(20, 76)
    draw.line(((x, 8), (x - 6, 26), (x + 4, 28), (x - 4, 50)), _BOLT, width=2)


def _shade(colour: _Colour, rng: random.Random) -> _Colour:
    red, green, blue = (min(255, max(0, c + rng.randint(-_JITTER, _JITTER))) for c in colour)
    return red, green, blue
