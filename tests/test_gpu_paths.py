"""The list of GPU code paths, `tests/gpu/README.md`, is that of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
README = ROOT / "tests" / "gpu" / "README.md"
NAMES = re.compile(
    r"cuda|cudnn|is_available|pin_memory|non_blocking|autocast|grad_?scaler|_scaler$"
    r"|memory_fraction|empty_cache|OutOfMemory|gpus|on_gpu|on_device$|is_apart",
    re.IGNORECASE,
)
"""What a path to a GPU is known by."""

if TYPE_CHECKING:
    from collections.abc import Iterator


def functions(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Give every function with its name, classes in front of methods."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield f"{inside}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{inside}{child.name}.")


def is_path(function: ast.AST) -> bool:
    """Say whether a function's code, its docstrings apart, names a GPU."""
    said = {id(node.value) for node in ast.walk(function) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and id(node) not in said:
            found.add(str(node.value))
        found |= {getattr(node, name, None) for name in ("id", "attr", "arg")}
    return any(isinstance(name, str) and NAMES.search(name) for name in found)


def paths(*, every: bool = False) -> set[str]:
    return {
        f"{file.relative_to(ROOT)}: {name}"
        for room in ("search", "trainables")
        for file in (ROOT / room).rglob("*.py")
        for name, function in functions(ast.parse(file.read_text()))
        if every or is_path(function)
    }


def tables() -> tuple[list[list[str]], list[list[str]]]:
    """The cells of both tables."""
    found: list[list[list[str]]] = []
    for line in README.read_text().splitlines():
        if line.startswith("|---"):
            found.append([])
        elif line.startswith("| `") or (line.startswith("| ") and len(found) == 2):
            found[-1].append([cell.strip() for cell in line.strip("|").split(" | ")])
    one, other = found
    return one, other


def listed(cell: str) -> set[str]:
    return {
        f"{file}: {name}"
        for part in cell.split("; ")
        for file, *names in [re.findall(r"`([^`]+)`", part)]
        for name in names
    }


def named_in(cell: str) -> set[str]:
    return set(re.findall(r"`(test_\w+)`", cell))


def written_in(folder: Path) -> set[str]:
    return {
        name
        for file in folder.rglob("test_*.py")
        for name, _ in functions(ast.parse(file.read_text()))
    }


def test_every_path_to_a_gpu_is_listed_and_there() -> None:
    found = set().union(*(listed(row[0]) for row in tables()[0]))
    assert paths() - found == set(), "not listed"
    assert found - paths(every=True) == set(), "not there"


def test_every_path_is_run_on_a_gpu_and_stood_in_for() -> None:
    on_gpu, all_tests = written_in(README.parent), written_in(ROOT / "tests")
    for path, _, there, here in tables()[0]:
        assert named_in(there), path
        assert named_in(here), path
        assert named_in(there) <= on_gpu, path
        assert named_in(here) <= all_tests - on_gpu, path
    for fault, tests in tables()[1]:
        assert named_in(tests), fault
        assert named_in(tests) <= all_tests, fault
