"""A merged model goes to a hub that speaks the hub's protocol; one that cannot be reached is said in one sentence."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import StoreError
from tasks.merging.push_to_hub import push_to_hub


class Hub(ThreadingHTTPServer):
    """Takes uploads into memory as huggingface.co takes small files: within the commit."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}

    def commit(self, lines: list[dict[str, Any]]) -> None:
        """Apply the lines of a commit."""
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])


class Requests(BaseHTTPRequestHandler):
    """The requests of an upload."""

    server: Hub

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Creation, the question how each file is to come, and the commit."""
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/api/repos/create":
            self.server.created.append(json.loads(text))
            self._answer({"url": f"{self.server.url}/me/model"})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(text)["files"]]
            self._answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]})
        elif "/commit/" in self.path:
            self.server.commit([json.loads(line) for line in text.split("\n") if line])
            self._answer({"commitUrl": f"{self.server.url}/me/model/commit/abc", "commitOid": "abc"})
        else:
            self._answer({})

    def do_GET(self) -> None:
        """What is there already: nothing."""
        self._answer({"id": "me/model", "sha": "abc", "siblings": []})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on this machine, that this user may write to."""
    monkeypatch.setenv("HF_TOKEN", "none")
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_every_file_arrives_in_a_private_repository(hub: Hub, tmp_path: Path) -> None:
    files = {"README.md": b"# model\n", "config.json": b"{}", "model.safetensors": bytes(range(256)) * 100}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert push_to_hub(tmp_path, "me/model", hub.url) == f"{hub.url}/me/model/commit/abc"
    assert hub.files == files
    assert hub.created[0]["name"] == "model"
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"


def test_a_hub_that_cannot_be_reached_is_the_users_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "none")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(StoreError, match="cannot be pushed to me/model"):
            push_to_hub(tmp_path, "me/model", address)
