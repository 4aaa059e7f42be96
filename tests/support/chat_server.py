"""A real HTTP server for chat completions that fails on request, and remembers what it was asked."""

import base64
import hashlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

MODEL = "served-7b"
LONG_S = 30


@dataclass
class Asked:
    """One request: its JSON, and its headers by name in lower case."""

    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def text(self) -> str:
        """The last question."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else next(part["text"] for part in content if "text" in part)

    @property
    def image(self) -> Image.Image:
        """The image as the server decodes it."""
        url = self.body["messages"][0]["content"][0]["image_url"]["url"]
        return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


@dataclass
class Acts:
    """How the server behaves; `faults` are its next misbehaviours, one per request, and `by_text` those of questions.

    A fault is ("status", code, headers, body), ("drop",), ("hang",), ("body", bytes) or ("fine",).
    """

    faults: list[tuple] = field(default_factory=list)
    by_text: dict[str, tuple] = field(default_factory=dict)
    key: str | None = None
    usage: bool = True
    models: list[str] = field(default_factory=lambda: [MODEL])
    answered_as: str = MODEL
    message: dict[str, Any] = field(default_factory=dict)
    choice: dict[str, Any] = field(default_factory=dict)
    # requests that must be there before any is answered
    at_a_time: int = 1


class ChatServer:
    """Answers with a digest of what it was asked; `most` is the largest number of requests that it had at a time."""

    def __init__(self) -> None:
        self.acts, self.asked = Acts(), list[Asked]()
        self.now = self.most = 0
        self.changed, self.ended = threading.Condition(), threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def texts(self) -> list[str]:
        """The questions in the order in which they came."""
        return [asked.text for asked in self.asked]

    def close(self) -> None:
        self.ended.set()
        with self.changed:
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()


def answer_to(body: dict[str, Any]) -> str:
    """The answer, which everything about the prompt decides."""
    return hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()[:8]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ChatServer

    def log_message(self, *arguments: object) -> None:
        return

    def do_GET(self) -> None:
        models = {"data": [{"id": name} for name in self.owner.acts.models]}
        self._send(*((200, models) if self._knows_the_key() else (401, _error("Wrong key"))))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner, headers = self.owner, {name.lower(): value for name, value in self.headers.items()}
        with owner.changed:
            asked = Asked(body, headers)
            owner.asked.append(asked)
            owner.now += 1
            owner.most = max(owner.most, owner.now)
            fault = owner.acts.faults.pop(0) if owner.acts.faults else ("fine",)
            owner.changed.notify_all()
            owner.changed.wait_for(lambda: owner.most >= owner.acts.at_a_time or owner.ended.is_set(), LONG_S)
        try:
            self._act(owner.acts.by_text.get(asked.text, fault), body)
        finally:
            with owner.changed:
                owner.now -= 1
                owner.changed.notify_all()

    def _act(self, fault: tuple, body: dict[str, Any]) -> None:
        if not self._knows_the_key():
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self._send(401, _error(f"Incorrect API key provided: {given}"))
        elif self.path != "/v1/chat/completions":
            self._send(404, {"detail": "Not Found"})
        elif body["model"] not in self.owner.acts.models:
            self._send(404, _error(f"The model `{body['model']}` does not exist."))
        elif fault[0] == "status":
            self._send(fault[1], fault[3] if len(fault) > 3 else _error("it failed"), fault[2])
        elif fault[0] == "body":
            self._send(200, fault[1])
        elif fault[0] in ("drop", "hang"):
            self.close_connection = True
            if fault[0] == "hang":
                self.owner.ended.wait(LONG_S)
        else:
            self._send(200, self._completion(body))

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        acts = self.owner.acts
        message = {"role": "assistant", "content": answer_to(body), **acts.message}
        usage = {"usage": {"prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103}} if acts.usage else {}
        choice = {"index": 0, "message": message, "finish_reason": "stop", **acts.choice}
        return {"object": "chat.completion", "model": acts.answered_as, "choices": [choice], **usage}

    def _knows_the_key(self) -> bool:
        key = self.owner.acts.key
        return key is None or self.headers.get("Authorization") == f"Bearer {key}"

    def _send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": "error"}}


@pytest.fixture
def chat_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A server of its own for each test; no key is in the environment."""
    for name in ("RSVLM_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    server = ChatServer()
    yield server
    server.close()
