from __future__ import annotations

import ast
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from torchvision import transforms

from tests.trainables.data.conftest import jpeg
from trainables.config import ImagePreparation, InputSettings
from trainables.data import images
from trainables.data.images import ImageError, check_image, open_image, prepare_image

if TYPE_CHECKING:
    from collections.abc import Callable

RED, BLUE = (255, 0, 0), (0, 0, 255)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def pixel(path: Path, at: tuple[int, int] = (2, 2)) -> tuple[int, ...]:
    image = open_image(path)
    assert image.mode == "RGB"
    value = image.getpixel(at)
    assert isinstance(value, tuple)
    return value


def palette(transparent: bool) -> Image.Image:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 255, 0, *RED])
    if transparent:
        image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("name", "image", "rgb"),
    [
        ("grey.png", Image.new("L", (8, 8), 77), (77, 77, 77)),
        ("bits.png", Image.new("1", (8, 8), 1), (255, 255, 255)),
        ("palette.png", palette(transparent=False), RED),
        ("palette.gif", palette(transparent=False), RED),
        ("palette_transparent.png", palette(transparent=True), (255, 255, 255)),
        ("rgb.png", Image.new("RGB", (8, 8), RED), RED),
        ("rgb.bmp", Image.new("RGB", (8, 8), RED), RED),
        ("rgba_half.png", Image.new("RGBA", (8, 8), (0, 0, 0, 51)), (204, 204, 204)),
        ("rgba_clear.webp", Image.new("RGBA", (8, 8), (9, 9, 9, 0)), (255, 255, 255)),
        ("grey_alpha.png", Image.new("LA", (8, 8), (0, 51)), (204, 204, 204)),
        ("deep.png", Image.new("I;16", (8, 8), 0x4D12), (77, 77, 77)),
        ("cmyk.jpg", Image.new("CMYK", (8, 8), (0, 0, 0, 255)), (0, 0, 0)),
        ("cmyk_white.jpg", Image.new("CMYK", (8, 8), (0, 0, 0, 0)), (255, 255, 255)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_becomes_rgb_on_white(
    tmp_path: Path, name: str, image: Image.Image, rgb: tuple[int, ...]
) -> None:
    assert pixel(saved(tmp_path / name, image)) == rgb


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path, name: str) -> None:
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    options = {"lossless": True} if name.endswith("webp") else {}
    path = saved(tmp_path / name, first, save_all=True, append_images=[second], **options)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == 2
    assert pixel(path) == RED


@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    [
        (1, (0, 0)),
        (2, (7, 0)),
        (3, (7, 3)),
        (4, (0, 3)),
        (5, (0, 0)),
        (6, (3, 0)),
        (7, (3, 7)),
        (8, (0, 7)),
    ],
)
def test_the_exif_orientation_is_applied(
    tmp_path: Path, orientation: int, red_corner: tuple[int, int]
) -> None:
    image = Image.new("RGB", (8, 4), BLUE)
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = open_image(saved(tmp_path / "turned.png", image, exif=exif))
    assert upright.size == ((4, 8) if orientation >= 5 else (8, 4))
    assert upright.getpixel(red_corner) == RED


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_exif_block_does_not_spoil_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for cut in range(7, len(exif.tobytes())):
        broken = exif.tobytes()[:cut]
        path = saved(tmp_path / "a.jpg", Image.new("RGB", (8, 8), (80, 80, 80)), exif=broken)
        assert pixel(path) == (80, 80, 80)


def bomb() -> bytes:
    """A PNG whose header claims 20,000 x 20,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + chunk + empty


def png() -> bytes:
    file = BytesIO()
    Image.open(BytesIO(jpeg(0))).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (jpeg(0)[:-200], "truncated"),
        (png()[:-200], "truncated"),
        (jpeg(0)[:-2], "truncated"),
        (jpeg(0)[:20], "must be a whole JPEG, PNG, WEBP, GIF or BMP image"),
        (b"not an image", "must be a whole JPEG, PNG, WEBP, GIF or BMP image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "must be a whole JPEG"),
        (bomb(), "pixels"),
    ],
    ids=["cut jpeg", "cut png", "no end marker", "cut header", "text", "postscript", "bomb"],
)
def test_a_bad_image_is_named_with_its_cause(tmp_path: Path, raw: bytes, cause: str) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(raw)
    for refused in (lambda: open_image(path), lambda: check_image(path, raw)):
        with pytest.raises(ImageError, match=cause) as error:
            refused()
        assert str(error.value).startswith(f"{path}: ")


def test_a_truncated_image_that_lies_on_its_side_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "turned.jpg", Image.open(BytesIO(jpeg(0))), exif=exif)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match="truncated"):
        open_image(path)


def test_an_image_over_the_limit_is_refused_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "big.png", Image.new("RGB", (11, 10)))
    monkeypatch.setattr(images, "MAX_PIXELS", 110)
    open_image(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 109)
    with pytest.raises(ImageError, match="must have at most 109 pixels, got 11 x 10"):
        open_image(path)


def test_a_missing_and_an_empty_image_are_named(tmp_path: Path) -> None:
    path = tmp_path / "none.jpg"
    with pytest.raises(ImageError, match=r"none\.jpg: No such file"):
        open_image(path)
    with pytest.raises(ImageError, match=r"none\.jpg: the file is empty"):
        check_image(path, b"")


@pytest.mark.parametrize("trailer", [b"", b"\0\0\n", b"what a phone appends"])
def test_a_whole_jpeg_passes_whatever_follows_its_end(tmp_path: Path, trailer: bytes) -> None:
    check_image(tmp_path, jpeg(0) + trailer)


def test_one_function_opens_images_in_the_whole_project() -> None:
    root = Path(images.__file__).parents[2]
    readers = {"open", "imread", "read_image", "decode_image", "decode_jpeg", "fromstring"}
    found = []
    for package in ("analysis", "search", "spaces", "trainables"):
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("PIL"):
                    assert not readers & {name.name for name in node.names}, path
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = ast.unparse(node.func.value).split(".")[-1]
                    if owner in {"Image", "cv2", "io", "imageio"} and node.func.attr in readers:
                        found.append((str(path.relative_to(root)), ast.unparse(node)))
    assert found == [("trainables/data/images.py", "Image.open(BytesIO(raw), formats=_FORMATS)")]


def test_an_image_damaged_in_its_middle_is_refused_by_the_check(tmp_path: Path) -> None:
    raw = bytearray(jpeg(0, (200, 150)))
    middle = len(raw) // 2
    raw[middle : middle + 4] = b"\xff\xc4\x00\x04"  # a table of codes where pixels should be
    assert raw.endswith(b"\xff\xd9")
    with pytest.raises(ImageError, match=r"bad\.jpg: broken data stream"):
        check_image(tmp_path / "bad.jpg", bytes(raw))


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 9),
    progressive=st.booleans(),
    share=st.floats(0, 1),
    put=st.binary(min_size=1, max_size=40),
    drop=st.integers(0, 40),
)
def test_the_check_refuses_what_opening_refuses_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    progressive: bool,
    share: float,
    put: bytes,
    drop: int,
) -> None:
    file = BytesIO()
    Image.open(BytesIO(jpeg(seed, (60, 50)))).save(file, "JPEG", progressive=progressive)
    raw = file.getvalue()
    at = 2 + round(share * (len(raw) - 2))
    raw = raw[:at] + put + raw[at + drop :]
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    path.write_bytes(raw)

    def verdict(look: Callable[[], object]) -> str:
        try:
            look()
        except ImageError as error:
            return str(error)
        return "whole"

    assert verdict(lambda: check_image(path, raw)) == verdict(lambda: open_image(path))


def test_basic_fits_the_whole_image_into_a_white_square() -> None:
    settings = InputSettings(image_preparation="basic", image_size=32, blur_radius=0)
    pixels = prepare_image(Image.new("RGB", (64, 32), RED), settings)
    assert pixels.shape == (3, 32, 32)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert (pixels[:, :8] == 255).all()
    assert (pixels[:, 24:] == 255).all()
    assert (pixels[:, 8:24] == np.array(RED)[:, None, None]).all()


def test_improved_crops_the_centre_square() -> None:
    image = Image.new("RGB", (96, 32), BLUE)
    image.paste(RED, (32, 0, 64, 32))
    settings = InputSettings(image_preparation="improved", image_size=48, blur_radius=0)
    pixels = prepare_image(image, settings)
    assert (pixels == np.array(RED)[:, None, None]).all()


@pytest.mark.parametrize("size", [(512, 512), (512, 1024), (768, 512), (300, 300)])
def test_imagenet_crops_as_torchvision_evaluates(size: tuple[int, int]) -> None:
    image = Image.open(BytesIO(jpeg(3, size)))
    pixels = prepare_image(image, InputSettings(image_preparation="imagenet"))
    evaluated = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    expected = np.asarray(evaluated(image)).astype(int)
    # Pillow may scale rows before columns or after, and rounds in between.
    assert np.abs(pixels.transpose(1, 2, 0) - expected).max() <= 1


def test_a_ribbon_is_prepared_without_scaling_all_of_it() -> None:
    ribbon = Image.new("RGB", (images.MAX_PIXELS, 1), RED)  # whole, 256 x 16 billion pixels
    pixels = prepare_image(ribbon, InputSettings(image_preparation="imagenet"))
    assert (pixels == np.array(RED)[:, None, None]).all()


@pytest.mark.parametrize("preparation", ["basic", "improved"])
def test_scaling_and_blur_equal_pillow(preparation: ImagePreparation) -> None:
    image = Image.open(BytesIO(jpeg(3, (50, 50))))
    settings = InputSettings(image_preparation=preparation, image_size=40, blur_radius=1.5)
    scaled = image.resize((40, 40), Image.Resampling.LANCZOS)
    blurred = np.asarray(scaled.filter(ImageFilter.GaussianBlur(1.5)))
    np.testing.assert_array_equal(prepare_image(image, settings).transpose(1, 2, 0), blurred)
    sharp = InputSettings(image_preparation=preparation, image_size=40, blur_radius=0)
    np.testing.assert_array_equal(
        prepare_image(image, sharp).transpose(1, 2, 0), np.asarray(scaled)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(get_args(ImagePreparation)))
def test_any_shape_becomes_the_square(
    width: int, height: int, preparation: ImagePreparation
) -> None:
    asked = InputSettings(image_preparation=preparation, image_size=32)
    pixels = prepare_image(Image.new("RGB", (width, height)), asked)
    assert pixels.shape == (3, 32, 32)
    assert pixels[:, 15:17, 15:17].min() < 255  # the image is in the middle
