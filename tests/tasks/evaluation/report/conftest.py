"""A real browser, spoken to by its DevTools protocol."""

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ANSWER_S = 120


class Page:
    """One page of a headless browser, with all that it complained of in `complaints`."""

    def __init__(self, socket: Any):
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._socket, self._number, self._session = socket, 0, None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Ask the browser, hear what happens meanwhile, and return its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (heard := self._hear()).get("id") != self._number:
            continue
        assert "error" not in heard, heard
        return heard["result"]

    def open(self, path: Path) -> None:
        """Open a file and wait until all of it is loaded."""
        self.send("Page.navigate", url=path.as_uri())
        while self._hear().get("method") != "Page.loadEventFired":
            continue

    def run(self, script: str) -> Any:
        """The value of a script, a promise's when it is kept."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, **(text if kind == "keyDown" else {}))

    def picture(self, path: Path, **params: Any) -> None:
        """Write a screenshot."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", **params)["data"]))

    def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self._socket.recv(timeout=ANSWER_S))
        method, params = heard.get("method"), heard.get("params", {})
        if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and params["type"] == "error"):
            self.complaints.append(json.dumps(params))
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        return heard


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The socket of a headless chromium, ended afterwards."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no chromium on this machine")
    from websockets.sync.client import connect

    folder = tmp_path_factory.mktemp("chromium")
    command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        address = next(line.split(" on ")[1].strip() for line in process.stderr if "DevTools listening" in line)
        with connect(address, max_size=None, proxy=None) as socket:
            yield socket
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def page(chromium: Any) -> Page:
    """A fresh page."""
    return Page(chromium)
