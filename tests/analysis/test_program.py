"""How commands end: what they say, and to whom no longer."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from analysis.program import counted, fail, make_console
from tests.analysis.synthetic import write_run
from trainables.activations.ownership import mark


def test_one_of_a_thing_is_counted_in_the_singular() -> None:
    assert [counted(n, "trial") for n in (0, 1, 2, 1000)] == [
        "0 trials",
        "1 trial",
        "2 trials",
        "1,000 trials",
    ]


def test_every_fault_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(["a is wrong", "b is wrong\nand c"]) == 2
    assert fail(["nothing came of it"], 1) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: a is wrong",
        "error: b is wrong",
        "error: and c",
        "error: nothing came of it",
    ]


def words_of(command: str, folder: Path) -> list[str]:
    """Give what a command needs to print a table."""
    if command == "search.cache":
        mark(folder)
        return ["--cache", str(folder)]
    write_run(folder / "run")
    return [str(folder / "run")]


@pytest.mark.parametrize("command", ["analysis.compare", "search.cache"])
def test_a_command_whose_reader_has_left_ends_without_a_word(command: str, tmp_path: Path) -> None:
    words = words_of(command, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", command, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()  # before anything was written
        _, errors = process.communicate(timeout=600)
    assert errors == ""
    assert process.returncode == -signal.SIGPIPE


WORK = """
from analysis.program import make_console, work_and_exit
import os, pathlib, time

def main():
    time.sleep(0.3)  # until the reader has left
    console = make_console()
    for number in range(3):
        console.print(f"{number} " + "word " * 40)
    other = open("other", "w")
    assert other.fileno() > 2
    pathlib.Path("done").touch()
    return 0

work_and_exit(main)
"""


@pytest.mark.parametrize(
    ("shell", "note"),
    [
        ("| true", "note: the output cannot be written; the work goes on\n"),
        ("> /dev/full", "note: the output cannot be written; the work goes on\n"),
        (">&-", ""),
        ("<&- >&- 2>&-", ""),
        ("2>&1 | true", ""),
        ("> out", ""),
    ],
)
def test_work_goes_on_whatever_becomes_of_its_output(
    shell: str, note: str, tmp_path: Path
) -> None:
    (tmp_path / "work.py").write_text(WORK)
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} work.py {shell}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "30"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, note)
    assert (tmp_path / "done").exists()
    if shell == "> out":
        assert len((tmp_path / "out").read_text().splitlines()) == 3, "COLUMNS wraps no file"


def test_what_is_piped_is_wrapped_at_no_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    table = Table("name", "value")
    table.add_row("x" * 80, "1")
    console = make_console()
    console.print("word " * 40)
    console.print(table)
    assert [len(line) for line in capsys.readouterr().out.splitlines()[:1]] == [200]
    assert console.width > 80


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_after_the_work_is_done_changes_no_exit_code(kind: str) -> None:
    program = (
        "import atexit, os, signal\n"
        "from analysis.program import work_and_exit\n"
        f"atexit.register(lambda: os.kill(os.getpid(), signal.{kind}))\n"
        "work_and_exit(lambda: 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    assert done.returncode == 0


@pytest.mark.parametrize("command", ["search.cache", "analysis.compare"])
def test_a_command_whose_output_has_no_room_says_so(command: str, tmp_path: Path) -> None:
    words = " ".join(words_of(command, tmp_path))
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m {command} {words} > /dev/full"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    told = "error: No space left on device: the output cannot be written\n"
    assert (done.returncode, done.stderr) == (1, told)


@pytest.mark.parametrize("name", ["analysis.py", "spaces/__init__.py"])
def test_a_file_of_the_users_own_that_hides_a_package_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    done = subprocess.run(
        [sys.executable, "-m", "search.run", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
    )
    package = name.partition("/")[0].partition(".")[0]
    told = f"error: {tmp_path / name} hides the package {package} of this program; rename it, or"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{told} run from another folder\n"


def test_the_package_says_what_it_does_not_have() -> None:
    import analysis

    with pytest.raises(AttributeError, match="module 'analysis' has no attribute 'nothing'"):
        _ = analysis.nothing


@pytest.mark.slow
def test_a_program_begins_when_all_of_it_is_defined() -> None:
    root, guarded, early = Path(__file__).parents[2], 0, []
    for package in ("search", "analysis", "trainables", "spaces", "tests"):
        for path in sorted((root / package).rglob("*.py")):
            body = ast.parse(path.read_text(encoding="utf-8")).body
            guards = [k for k, one in enumerate(body) if _is_guard(one)]
            guarded += len(guards)
            early += [str(path.relative_to(root)) for k in guards if k < len(body) - 1]
    assert guarded > 8
    assert early == []


def _is_guard(one: ast.stmt) -> bool:
    return isinstance(one, ast.If) and ast.unparse(one.test) == "__name__ == '__main__'"
