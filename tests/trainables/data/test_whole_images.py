"""Images that were decoded whole once are not decoded again; nothing else is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.trainables.data.conftest import jpeg
from trainables.data import corpus as corpus_module
from trainables.data.corpus import CorpusError, load_corpus
from trainables.data.images import check_image
from trainables.data.whole_images import WholeImages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images that are decoded."""
    names: list[str] = []

    def check(path: Path, raw: bytes) -> tuple[int, int]:
        names.append(path.name)
        return check_image(path, raw)

    monkeypatch.setattr(corpus_module, "check_image", check)
    return names


def load(lab: Path, cache: Path | None) -> list[tuple[int, int] | None]:
    return [s.image_size for s in load_corpus(lab, whole_images=WholeImages(cache)).samples]


def test_a_second_start_decodes_what_is_new_alone(
    lab: Path, tmp_path: Path, checked: list[str]
) -> None:
    sizes = load(lab, tmp_path / "cache")
    assert len(checked) == 5
    checked.clear()
    (lab / "data" / "12.jpg").write_bytes(jpeg(99, (44, 33)))
    assert load(lab, tmp_path / "cache") == [sizes[0], (44, 33), *sizes[2:]]
    assert checked == ["12.jpg"]
    checked.clear()
    load(lab, None)
    assert len(checked) == 5


def test_the_whole_ones_of_a_refused_data_set_are_remembered_the_damaged_are_not(
    lab: Path, tmp_path: Path, checked: list[str]
) -> None:
    (lab / "data" / "12.jpg").write_bytes(jpeg(1)[:-100])
    for count in (5, 1):
        with pytest.raises(CorpusError, match=r"12\.jpg: image file is truncated"):
            load(lab, tmp_path / "cache")
        assert len(checked) == count
        checked.clear()


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"0" * 32, b"00 1 1\n", b"torn 12"])
def test_what_is_damaged_is_not_believed_and_added_to(
    lab: Path, tmp_path: Path, checked: list[str], content: bytes
) -> None:
    load(lab, tmp_path)
    (kept,) = tmp_path.glob("whole_images*")
    kept.write_bytes(content)
    load(lab, tmp_path)
    assert len(checked) == 10
    load(lab, tmp_path)
    assert len(checked) == 10


def test_where_nothing_can_be_written_images_are_decoded_each_time(
    lab: Path, tmp_path: Path, checked: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    load(lab, tmp_path / "file" / "cache")
    assert len(load(lab, tmp_path / "file" / "cache")) == 5
    assert len(checked) == 10
