"""Detect damaged checkpoint files from a few of their bytes."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_HEAD = 512
_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html")
_OLD_TORCH = b"\x80"  # a pickle, torch's format before zip files
_LENGTH = 8  # bytes of a safetensors file that hold the length of its header
_LARGE = 1 << 20  # larger JSON files, such as vocabularies, are left to the library


def file_fault(path: Path) -> str | None:
    """Return what is wrong with a file, in words that start with its path, or None."""
    if not path.is_file():
        return f"{path} is {'no regular file' if path.exists() else 'missing'}"
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        fault = _of_any(head) or _of_its_kind(path, head)
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
    return fault and f"{path} {fault}"


def _of_any(head: bytes) -> str | None:
    if not head:
        return "is empty"
    if head.startswith(_LFS):
        return "is a pointer of Git LFS, not the file itself: run `git lfs pull` where it is from"
    if head.lstrip().lower().startswith(_PAGES):
        return "is a web page, not the file that was meant: download it again"
    return None


def _of_its_kind(path: Path, head: bytes) -> str | None:
    if path.suffix == ".json" and path.stat().st_size < _LARGE:
        return _of_json(path)
    if path.suffix == ".safetensors":
        return _of_safetensors(path, head)
    if path.suffix in {".bin", ".pth", ".pt"}:
        return _of_torch(path, head)
    return None


def _of_json(path: Path) -> str | None:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return f"is no JSON: {error}"
    return None if isinstance(content, dict) else f"must hold a JSON object, got {_kind(content)}"


def _kind(content: Any) -> str:
    return "a list" if isinstance(content, list) else json.dumps(content)[:40]


def _of_safetensors(path: Path, head: bytes) -> str | None:
    size = path.stat().st_size
    length = int.from_bytes(head[:_LENGTH], "little")
    if size < _LENGTH + length:
        return "is no whole safetensors file: it is cut off, or something else under that name"
    try:
        with path.open("rb") as file:
            file.seek(_LENGTH)
            header: dict[str, Any] = json.loads(file.read(length))
        ends = (value["data_offsets"][1] for name, value in header.items() if name[:2] != "__")
        wanted = _LENGTH + length + max(ends, default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "is no safetensors file: its header cannot be read"
    return None if size == wanted else f"must have {wanted:,} bytes, got {size:,}: it is cut off"


def _of_torch(path: Path, head: bytes) -> str | None:
    if head.startswith(b"PK"):
        return (
            None if zipfile.is_zipfile(path) else "is cut off: the end of its archive is missing"
        )
    return None if head.startswith(_OLD_TORCH) else "is no file that torch wrote"
