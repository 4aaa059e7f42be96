"""A PostgreSQL server for a test module."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with closing(Postgres()) as server:
        yield server.address


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs, None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """A PostgreSQL server on a free port; as root it is run by the user postgres, since it refuses root."""

    def __init__(self) -> None:
        programs = postgres_programs()
        if programs is None:
            pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
        self._run = [] if os.geteuid() else ["runuser", "-u", "postgres", "--"]
        # not in pytest's folder, which only its owner may enter
        self._data = Path(tempfile.mkdtemp(prefix="rsvlm-postgres-"))
        self._control = programs / "pg_ctl"
        if self._run:
            shutil.chown(self._data, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        self._call(str(programs / "initdb"), "-D", str(self._data), "-U", "rsvlm", "-A", "trust", "-E", "UTF8")
        self._call(str(self._control), "-D", str(self._data), "-o", options, "-l", f"{self._data}/log", "-w", "start")
        self.address = f"postgresql+asyncpg://rsvlm@127.0.0.1:{port}/postgres"

    def _call(self, *command: str) -> None:
        subprocess.run([*self._run, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    def close(self) -> None:
        self._call(str(self._control), "-D", str(self._data), "-m", "immediate", "stop")
        shutil.rmtree(self._data, ignore_errors=True)
