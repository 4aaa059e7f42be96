"""A configured server that does not answer like Prefect: one sentence within ten seconds, for every command."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import server
from flows.server import require_configured_server
from tasks.errors import ConfigError

# ten seconds are promised; a loaded machine needs some more to start Python
LIMIT_S = 30


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A web server with the same response to every request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that accepts connections and does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _silent(listener: socket.socket) -> None:
    """Connections are established, and nothing is sent."""


def _banner(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def _dripping(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        # until the other side has gone
        while True:
            connection.sendall(b" ")
            time.sleep(0.2)


@contextmanager
def at(address: str) -> Iterator[str]:
    yield address


DEAD = {
    "refused": lambda: at("127.0.0.1:1"),
    "never answers": lambda: at("10.255.255.1:4200"),
    "no such name": lambda: at("prefect.invalid:4200"),
    "silent": lambda: listening(_silent),
    "another protocol": lambda: listening(_banner),
    "dripping": lambda: listening(_dripping),
    "500": lambda: answering(500, b"oops"),
    "503": lambda: answering(503, b""),
    "404": lambda: answering(404, b"not here"),
    "401": lambda: answering(401, b"{}"),
    "a web page": lambda: answering(200, b"<html>Hello</html>"),
    "other JSON": lambda: answering(200, b'{"status": "ok"}'),
    "with a login": lambda: at("user:hunter2@127.0.0.1:1"),
}


def dead_end(command: tuple[str, ...], address: str, home: Path) -> float:
    """Seconds until a command has reported that no server is at an address."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://{address}/api"}
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", *command], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: No Prefect server answers at http://"), ended.stderr
    assert ended.stderr.count("\n") == 1 and "prefect server start" in ended.stderr
    return time.monotonic() - started


@pytest.mark.parametrize("kind", DEAD)
def test_a_server_that_does_not_answer_is_reported_in_ten_seconds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server.REQUEST_S < server.TOTAL_S < 10
    monkeypatch.setattr(server, "REQUEST_S", 0.5)
    monkeypatch.setattr(server, "TOTAL_S", 1.0)
    with (
        DEAD[kind]() as address,
        temporary_settings({PREFECT_API_URL: f"http://{address}/api"}),
        pytest.raises(ConfigError, match=r"No Prefect server answers at http://.*prefect server start") as error,
    ):
        require_configured_server()
    assert "hunter2" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
def test_every_command_that_needs_the_server_reports_it(tmp_path: Path) -> None:
    place = ("--workspace", str(tmp_path / "w"))
    fetch = ("data", "fetch", "--root", str(tmp_path / "data"))
    (tmp_path / "sweep.yaml").write_text("preset: demo\nsearch: {training.lora_r: [8]}\n", encoding="utf-8")
    sweep = ("sweep", str(tmp_path / "sweep.yaml"), *place)
    for command in (("run", "demo", *place), ("train", "demo", *place), sweep, fetch, ("deploy", *place)):
        assert dead_end(command, "127.0.0.1:1", tmp_path) < LIMIT_S
        assert not (tmp_path / "w").exists(), command


def test_the_remedy_matches_where_the_server_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "http://127.0.0.1:1/api"
    monkeypatch.setenv("PREFECT_API_URL", address)
    with temporary_settings({PREFECT_API_URL: address}):
        with pytest.raises(ConfigError, match=r"`export PREFECT_API_URL=http.*`unset PREFECT_API_URL`"):
            require_configured_server()
        # as a profile sets it
        monkeypatch.delenv("PREFECT_API_URL")
        with pytest.raises(
            ConfigError, match=r"config set PREFECT_API_URL=http.*prefect config unset PREFECT_API_URL`"
        ):
            require_configured_server()
