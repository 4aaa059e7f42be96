"""Requests to `rsvlm serve` that are nearly right: over every path that Gradio knows, with something changed."""

import json
import random
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

API = "/gradio_api"
# what the page and programs use, and what Gradio has besides
CALLED = (
    "queue/join",
    "run/predict",
    "call/ask",
    "call/v2/ask",
    "api/ask",
    "api/predict",
    "run/ask",
    "call/take_image",
)
SEEN = (
    "/", "/config", "/theme.css", "/login", "/robots.txt", "/manifest.json", "/pwa_icon", "/monitoring",
    "/monitoring/summary", "/static/img/logo.svg", "/assets/index.js", "/svelte/x.js", "/docs", "/openapi.json",
    *(f"{API}/{name}" for name in (
        "info", "user", "token", "app_id", "login_check", "dev/reload", "openapi.json", "deep_link", "queue/status",
        "queue/data?session_hash=fuzz0", "queue/data", "call/ask/0123abc", "upload_progress?upload_id=x", "runs",
        "heartbeat/fuzz1", "stream/a/b/1/playlist.m3u8", "stream/a/b/1/playlist-file", "stream/a/b/1/c.ts",
        "custom_component/image/client/component/index.js", "vibe-code", "theme.css", "startup-events",
        "profiling/traces", "profiling/summary",
    )),
)  # fmt: skip
POSTED = ("cancel", "reset", "component_server", "process_recording", "stream/x", "stream/x/close", "vibe-edit")
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
# a function of the page, by its number, and what it is sent
PAGE: dict[int, list[Any]] = {
    0: [None], 1: ["IMAGE", None], 2: [None], 3: ["Where?", None, 0, 4, True, True], 4: [None], 5: [None], 6: [None],
    7: [None], 8: [None], 9: [None], 10: [None, True], 11: ["IMAGE", "Where?", None, "model", 0, 4], 12: [None],
}  # fmt: skip
ASK = ["IMAGE", "Is there a road?", [["Is it rural?", "no"]], "model", 0, 4]


@dataclass
class Sent:
    """A request."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Mutations:
    """Requests drawn by a seed; `files` are those that must never come back, `own` an upload of this visitor."""

    def __init__(self, seed: int, files: list[str], own: str):
        self._random = random.Random(seed)
        self._files, self._own = files, own

    def draw(self) -> Sent:
        """The next request."""
        makers = (self._called, self._called, self._called, self._read, self._seen, self._posted, self._uploaded)
        sent = self._random.choice(makers)()
        if self._random.random() < 0.15:
            self._mutate_request(sent)
        return sent

    def _called(self) -> Sent:
        path = self._random.choice(CALLED)
        number = self._random.choice(list(PAGE)) if self._random.random() < 0.7 else 11
        data = ASK if path.startswith("call") or self._random.random() < 0.4 else PAGE[number]
        body: Any = {"data": self._own_image(data), "fn_index": number, "session_hash": self._session()}
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 3))):
            body = self._mutated(body)
        return Sent("POST", f"{API}/{path}", {"content-type": "application/json"}, self._written(body))

    def _read(self) -> Sent:
        file = self._random.choice(self._files)
        if self._random.random() < 0.3:
            file = self._random.choice(
                (f"{self._own}/../../{file}", f"./{file}", f"/{file}", file + "\0", f"file://{file}")
            )
        route = self._random.choice((f"{API}/file=", f"{API}/file/", "/file=", f"{API}/proxy=", "/static/", "/assets/"))
        up = self._random.choice(("", "", "../" * 12, "..%2f" * 12, "%2e%2e/" * 12))
        return Sent(self._random.choice(("GET", "HEAD")), route + up + quote(file))

    def _seen(self) -> Sent:
        return Sent(self._random.choice(("GET", "HEAD")), self._random.choice(SEEN))

    def _posted(self) -> Sent:
        body: Any = {
            "session_hash": self._session(), "event_id": self._session(), "fn_index": self._random.choice(list(PAGE)),
            "component_id": self._random.randrange(40), "fn_name": "preprocess", "data": self._nasty(), "code": "1",
        }  # fmt: skip
        if self._random.random() < 0.6:
            body = self._mutated(body)
        path = f"{API}/{self._random.choice(POSTED)}"
        return Sent("POST", path, {"content-type": "application/json"}, self._written(body))

    def _uploaded(self) -> Sent:
        name = self._random.choice(("a.png", "../../a.png", "", "..", "/etc/passwd", "a" * 5000, "ä\0.png", 'x".png'))
        field_name = self._random.choice(("files", "files", "files", "file", ""))
        head = f'--cut\r\nContent-Disposition: form-data; name="{field_name}"; filename="{name}"\r\n\r\n'
        content = self._random.randbytes(self._random.choice((0, 10, 5000)))
        form = head.encode() + content + b"\r\n--cut--\r\n"
        if self._random.random() < 0.3:
            form = self._damaged(form)
        kind = self._random.choice(("multipart/form-data; boundary=cut",) * 4 + ("multipart/form-data", "text/plain"))
        return Sent("POST", f"{API}/upload?upload_id=u{self._random.randrange(99)}", {"content-type": kind}, form)

    def _own_image(self, data: list[Any]) -> list[Any]:
        image = {"path": self._own, "meta": {"_type": "gradio.FileData"}}
        return [image if value == "IMAGE" else value for value in data]

    def _session(self) -> str:
        return f"fuzz{self._random.randrange(10_000)}"

    def _mutated(self, value: Any) -> Any:
        """The value with one of its parts replaced, dropped or doubled."""
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            key = self._random.choice(list(value))
            if self._random.random() < 0.1:
                return {name: part for name, part in value.items() if name != key}
            return {**value, key: self._mutated(value[key])}
        if isinstance(value, list) and value and self._random.random() < 0.9:
            place = self._random.randrange(len(value))
            times = self._random.choice((0, 2)) if self._random.random() < 0.1 else 1
            return [*value[:place], *[self._mutated(value[place])] * times, *value[place + 1 :]]
        return self._nasty()

    def _nasty(self) -> Any:
        path = self._random.choice(self._files)
        meta = {"_type": "gradio.FileData"}
        return self._random.choice((
            None, True, -1, 0, 1.5, 2**31, 10**40, -0.0, 1e-320, float("inf"), float("nan"), "", "0", "null", "tuned",
            {}, [], [[]], {"a": {}}, [["half"]], [["a", None]], "x" * 9000, "why " * 1999, "<image>" * 50, "\ud800",
            "\0", "</s>", [["", ""]] * 3000, [["word " * 1000, "yes"]] * 9, "http://127.0.0.1:1/", path,
            {"path": path}, {"path": path, "meta": meta}, {"path": path, "meta": meta, "is_stream": True},
            {"path": self._own, "url": f"file://{path}", "meta": meta}, [{"path": path, "meta": meta}],
            {"url": "http://127.0.0.1:1/a.png", "meta": meta}, {"path": "http://127.0.0.1:1/a.png", "meta": meta},
            {"value": {"path": path, "meta": meta}}, {"image": {"path": path, "meta": meta}, "caption": "x"},
            {"__type__": "update", "value": {"path": path, "meta": meta}}, {"path": [path], "meta": meta},
            {"path": {"path": path, "meta": meta}, "meta": meta}, {"path": None, "url": path, "meta": meta},
        ))  # fmt: skip

    def _written(self, body: Any) -> bytes:
        text = json.dumps(body).encode()
        if self._random.random() < 0.05:
            return self._random.choice(
                (b"[" * 50_000, b'{"data": ' + b"9" * 5000 + b"}", b"", b"null", b"[1]", b"\xff")
            )
        return self._damaged(text) if self._random.random() < 0.1 else text

    def _damaged(self, content: bytes) -> bytes:
        damaged = bytearray(content)
        for _ in range(self._random.randrange(1, 6)):
            damaged[self._random.randrange(len(damaged))] = self._random.randrange(256)
        return bytes(damaged[: self._random.choice((len(damaged), self._random.randrange(len(damaged)) + 1))])

    def _mutate_request(self, sent: Sent) -> None:
        name, value = self._random.choice((
            ("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null"), ("range", "bytes=0-1-2"),
            ("content-type", "text/plain"), ("content-type", "application/json; charset=utf-7"), ("cookie", "x" * 900),
            ("sec-fetch-site", "cross-site"), ("x-rsvlm-visitor", "other"), ("x-forwarded-host", "evil.example"),
            ("accept-encoding", "br"), ("x-gradio-user", "app"), ("authorization", "Bearer x"), ("method", ""),
        ))  # fmt: skip
        if name == "method":
            sent.method = self._random.choice(METHODS)
        else:
            sent.headers[name] = value
