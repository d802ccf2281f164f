"""A PostgreSQL server that a test starts and stops: real, on a free port, with a password."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self

USER, PASSWORD = "searcher", "not/in@any:log"


def installed() -> Path | None:
    """Find the folder of the server's programs, which Debian keeps out of the path."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    return next((p.parent for p in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


class Server:
    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._call("pg_ctl", "start", "-w", "-l", str(self._folder / "log"))

    def stop(self) -> None:
        self._call("pg_ctl", "stop", "-m", "immediate")

    def _call(self, program: str, *words: str) -> None:
        # The server refuses to run as root, so there its own user does.
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(self._programs / program), "-D", str(self._folder / "data"), *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder)

    def __enter__(self) -> Self:
        (self._folder / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self._folder, self._folder / "password"):
                shutil.chown(path, "postgres")
        password = f"--pwfile={self._folder / 'password'}"
        self._call("initdb", "-U", USER, "--auth=scram-sha-256", password, "--no-sync")
        with (self._folder / "data" / "postgresql.conf").open("a") as file:
            file.write(f"port = {self.port}\nfsync = off\n")
            file.write(f"unix_socket_directories = '{self._folder}'\n")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)
