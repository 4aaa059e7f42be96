"""A headless browser, driven through its DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
)
PATIENCE_S = 90


class Browser:
    """One page in its own browser profile; collects its requests, errors and warnings."""

    def __init__(self, socket: Any, numbers: Iterator[int]):
        self._socket, self._numbers, self._session = socket, numbers, None
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.requests: list[str] = []
        self._profile = self.call("Target.createBrowserContext")["browserContextId"]
        page = self.call("Target.createTarget", url="about:blank", browserContextId=self._profile)["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command, process events meanwhile, and return the command's result."""
        message = {"id": next(self._numbers), "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (response := self._receive()).get("id") != message["id"]:
            continue
        assert "error" not in response, response
        return response["result"]

    def _receive(self) -> dict[str, Any]:
        received: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE_S))
        method, values = received.get("method"), received.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
            self.errors.append(json.dumps(values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            messages = self.errors if values["entry"]["level"] == "error" else self.warnings
            messages.append(f"{values['entry']['text']} {values['entry'].get('url')}")
        return received

    def open(self, address: str) -> None:
        """Open an address and wait until it is loaded completely."""
        self.call("Page.navigate", url=address)
        while self._receive().get("method") != "Page.loadEventFired":
            continue

    def close(self) -> None:
        """Close the page and delete its profile."""
        self._session = None
        self.call("Target.disposeBrowserContext", browserContextId=self._profile)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        """Wait until an expression is true in the page."""
        frame = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))"
        end = time.monotonic() + PATIENCE_S
        while not self.run(f"!!({script})"):
            assert time.monotonic() < end, (script, self.run("document.body.innerText"), self.errors)
            self.run(frame)

    def upload(self, selector: str, file: Path) -> None:
        """Choose a file in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def write(self, selector: str, text: str) -> None:
        """Type a text into an element and press Enter."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)
        self.press("Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    def press(self, key: str, **more: Any) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **{**text, **more})
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **{**more, "text": ""})

    def picture(self, file: Path) -> None:
        """Save a screenshot as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The socket of a headless browser, and the counter of its message ids."""
    from websockets.sync.client import connect

    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    folder = tmp_path_factory.mktemp("chromium")
    with (folder / "browser.log").open("wb") as log:
        child = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = _address_of(child, folder / "profile" / "DevToolsActivePort")
        # messages after a page's test are not read, and would block the answers to pings
        with connect(address, max_size=None, max_queue=None, ping_interval=None, proxy=None, close_timeout=1) as socket:
            yield socket, itertools.count(1)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    """An empty page that shares nothing with other pages."""
    with closing(Browser(*chromium)) as page:
        yield page


def _address_of(child: "subprocess.Popen[bytes]", file: Path) -> str:
    end = time.monotonic() + PATIENCE_S
    while not file.exists() or file.read_text().count("\n") < 1:
        assert child.poll() is None and time.monotonic() < end, "the browser did not start"
        time.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"
