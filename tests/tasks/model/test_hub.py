"""Models are found by directory or hub name, and uploaded to a local server that speaks the hub's protocol."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import ModelError, StoreError
from tasks.model.hub import find_model, push_to_hub


class Hub(ThreadingHTTPServer):
    """A hub that keeps uploads in memory, sent as huggingface.co receives small files: in the commit."""

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
        """Print nothing."""

    def do_POST(self) -> None:
        """Answer the creation, the preupload (how to send each file) and the commit."""
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
        """Answer that the repository is empty."""
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
    """A hub on this machine that accepts any token."""
    monkeypatch.setenv("HF_TOKEN", "none")
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_directory_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model("model") == tmp_path / "model"


@pytest.mark.parametrize("name", ["/no/such/model", "model", "a/b/c", ""])
def test_a_name_that_is_neither_a_directory_nor_a_hub_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="is not a directory: set"):
        find_model(name)


def test_a_model_that_the_hub_does_not_have_is_refused(tmp_path: Path) -> None:
    import huggingface_hub.constants as constants

    before = constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE
    constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE = True, str(tmp_path)
    try:
        with pytest.raises(ModelError, match="cannot be downloaded from the hub"):
            find_model("nobody/no-such-model")
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_HUB_CACHE = before


def test_upload_creates_a_private_repository_with_every_file(hub: Hub, tmp_path: Path) -> None:
    files = {"README.md": b"# model\n", "config.json": b"{}", "model.safetensors": bytes(range(256)) * 100}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert push_to_hub(tmp_path, "me/model", hub.url) == f"{hub.url}/me/model/commit/abc"
    assert hub.files == files
    assert hub.created[0]["name"] == "model"
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"


def test_upload_to_an_unreachable_hub_raises_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "none")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(StoreError, match="cannot be pushed to me/model"):
            push_to_hub(tmp_path, "me/model", address)
