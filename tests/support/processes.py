"""Processes and ports of this machine."""

import socket
from contextlib import suppress
from pathlib import Path


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read_proc(pid: int, name: str) -> bytes:
    """A file of a process in /proc; empty if the process has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def processes_with(name: str, value: object) -> list[int]:
    """All processes that have this environment variable with this value."""
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if f"{name}={value}".encode() in read_proc(pid, "environ").split(b"\0")]
