"""From image files to square RGB pixels: any mode, any size, deterministic.

No other module opens images. `prepare_image` is the hot path when activations are cached, and its
pixels are part of the cache's meaning: whatever changes them must change the cache key.
"""

from __future__ import annotations

import struct
import warnings
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from trainables.data.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from trainables.config import ImagePreparation, InputSettings

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
MAX_PIXELS = 64_000_000
MAX_IMAGE_BYTES = 200_000_000  # MAX_PIXELS uncompressed

# Only these decoders run on a user's files: Pillow's others are old, and one starts Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_WHITE = (255, 255, 255)
_IMAGENET_SHARE = 224 / 256

# Pillow warns on standard error from 89 million pixels; MAX_PIXELS refuses before that.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
# The user can do nothing about a camera's broken EXIF block; such images are not rotated.
warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)


Colour = tuple[int, int, int]
"""Red, green and blue, each in [0, 255]."""


class ImageError(ValueError):
    """An image file cannot be used; the message gives the file and the reason."""


def open_image(path: Path) -> Image.Image:
    """Read an image file as RGB, upright.

    The EXIF orientation is applied, transparent pixels are blended with white, 16-bit grey keeps
    its upper 8 bits, and the first frame of an animation is used.

    Args:
        path: A JPEG, PNG, WebP, GIF or BMP file.

    Returns:
        The image, mode RGB, of any size up to `MAX_PIXELS`.

    Raises:
        ImageError: If the file is missing, damaged, truncated, too large, not a regular file or of
            another format.
    """
    with _named(path), _opened(read_regular(path, MAX_IMAGE_BYTES)) as image:
        # No Image.draft: its scaled decoding changes pixels and only helps from twice the size.
        image.load()
        # The pixels are decoded, so any error here is in the EXIF block, which is then ignored.
        with suppress(struct.error, SyntaxError, ValueError, TypeError, KeyError, OSError):
            ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)


def check_image(path: Path, raw: bytes) -> tuple[int, int]:
    """Raise what `open_image` would raise, at a fraction of its cost.

    Args:
        path: The file, for the message.
        raw: Its bytes.

    Returns:
        Width and height in pixels, as stored.

    Raises:
        ImageError: If the file is empty, damaged, truncated, too large or of another format.
    """
    with _named(path), _opened(raw) as image:
        size = image.size
        # This still reads the whole file, but decodes it at an eighth of its size.
        image.draft(None, (1, 1))
        image.load()
        return size


def _opened(raw: bytes) -> Image.Image:
    """Open image bytes with Pillow; nothing else in the project does."""
    if not raw:
        msg = "the file is empty"
        raise ImageError(msg)
    image = Image.open(BytesIO(raw), formats=_FORMATS)
    _refuse_bomb(image)
    return image


def prepare_image(image: Image.Image, settings: InputSettings) -> NDArray[np.uint8]:
    """Transform an image to the square that a backbone reads.

    Source: `basic` and `improved` are the preparations of the lab's paper: one fits the whole
    image into a white square, the other crops the central square; both resize with LANCZOS.
    `imagenet` is the usual ImageNet evaluation since Krizhevsky et al., NeurIPS 2012, section 4.1:
    for S = 224, resize the shorter side to 256, bilinearly, and crop the centre.

    Args:
        image: An RGB image of any size.
        settings: The preparation, the side S of the square and the radius of the blur.

    Returns:
        Pixels in [0, 255], shape (3, S, S), uint8, C-contiguous.
    """
    square = _FITS[settings.image_preparation](image, settings.image_size)
    if settings.blur_radius > 0:
        square = square.filter(ImageFilter.GaussianBlur(settings.blur_radius))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def square_of(colour: Colour, side: int) -> NDArray[np.uint8]:
    """Make pixels of one colour, as `prepare_image` would of an image of it: (3, S, S), uint8."""
    channels = np.array(colour, np.uint8)[:, None, None]
    return np.ascontiguousarray(np.broadcast_to(channels, (3, side, side)))


def _white_square(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    # ImageOps.pad would round the short side of a very long image down to 0.
    width, height = (max(1, round(length * scale)) for length in image.size)
    square = Image.new("RGB", (side, side), _WHITE)
    scaled = image.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(scaled, ((side - width) // 2, (side - height) // 2))
    return square


def _centre_crop(image: Image.Image, side: int) -> Image.Image:
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, top, left + short, top + short))
    return square.resize((side, side), Image.Resampling.LANCZOS)


def _imagenet_crop(image: Image.Image, side: int) -> Image.Image:
    reach = min(image.size) * _IMAGENET_SHARE / 2
    x, y = image.width / 2, image.height / 2
    # Resizing only the crop gives the same pixels at a bounded cost.
    box = (x - reach, y - reach, x + reach, y + reach)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=box)


_FITS: Mapping[ImagePreparation, Callable[[Image.Image, int], Image.Image]] = {
    "basic": _white_square,
    "improved": _centre_crop,
    "imagenet": _imagenet_crop,
}

OPENED_IN_WORDS = (
    "decode the first frame, turn it upright by its EXIF orientation, blend transparency with"
    " white, convert to RGB"
)
"""What `open_image` does, for those who do it elsewhere."""

FITS_IN_WORDS: Mapping[ImagePreparation, str] = {
    "basic": (
        "resize by LANCZOS so that the longer side is SIZE (sides rounded, at least 1) and paste"
        " in the middle of a white SIZE x SIZE square, at offsets rounded down"
    ),
    "improved": (
        "crop the centre square of the shorter side, at offsets rounded down, and resize it to"
        " SIZE x SIZE by LANCZOS"
    ),
    "imagenet": (
        "resize the centre square of 0.875 of the shorter side, a box of fractions of pixels, to"
        " SIZE x SIZE by BILINEAR (Pillow: image.resize((SIZE, SIZE), BILINEAR, box=box))"
    ),
}
"""What `prepare_image` does before any blur, for those who do it elsewhere."""


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip at 255
        grey = (np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", image.size, (*_WHITE, 255))
        return Image.alpha_composite(page, layer).convert("RGB")
    return image.convert("RGB")


def _refuse_bomb(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        msg = (
            f"the image must have at most {MAX_PIXELS:,} pixels, "
            f"got {image.width:,} x {image.height:,}; scale it down"
        )
        raise ImageError(msg)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn any error of a decoder into an `ImageError` that names the file."""
    try:
        yield
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        msg = f"{path}: {_cause(error)}"
        raise ImageError(msg) from error


def _cause(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):  # Pillow's own limit, far above ours
        return f"the image must have at most {MAX_PIXELS:,} pixels; scale it down: {error}"
    if isinstance(error, UnidentifiedImageError):
        return f"the file must be a whole {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} image"
    return str(error) or type(error).__name__
