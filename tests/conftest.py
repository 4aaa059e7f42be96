"""What tests of several stages share; among it a real browser, headless, driven through its DevTools protocol."""

import base64
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples every time: a failure elsewhere is a failure here. How slowly they are drawn is no rule of ours.
settings.register_profile("house", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Two threads that wait for each other on a busy machine made a toy model a hundred times slower; children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TINY_TEXTS = (
    "What is the topic of this image?",
    "an airport with two planes on a runway",
    "Is it a rural or an urban area",
    "How many ships are there in this picture?",
    "a beach with white sand beside the blue sea",
    "A chat between a curious user and an artificial intelligence assistant. USER: ASSISTANT:",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: two workers that share the files then end at nearly the same time."""
    weights: Counter[Path] = Counter()
    for item in items:
        weights[item.path] += 100 if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: (-weights[item.path], item.path))


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy LLaVA with random weights: the real architecture, in transformers layout."""
    from tasks.model.llava.tiny import create_tiny

    folder = tmp_path_factory.mktemp("models") / "tiny"
    create_tiny(folder, TINY_TEXTS, seed=28)
    return folder


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """The address of an S3 server that takes any keys; make a bucket of a name that no other test uses."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL database, empty."""
    with closing(Postgres()) as server:
        yield server.address


class Postgres:
    """A PostgreSQL server on a port of its own; it refuses to run as root, and then is the user postgres."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
        programs = found[-1].parent
        self._run = [] if os.geteuid() else ["runuser", "-u", "postgres", "--"]
        # not in pytest's own folder, which only its owner may enter
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


@pytest.fixture(scope="session")
def lively_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with weights of another size: it says something else of each image and question."""
    from tasks.model.llava.tiny import create_tiny

    folder = tmp_path_factory.mktemp("lively") / "tiny-llava"
    create_tiny(folder, TINY_TEXTS, seed=28, scale=10)
    return folder


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Prefect server of the tests' own, started once; yields its home, where results are kept."""
    from flows.embedded import prepare_prefect

    prepare_prefect()
    from prefect.settings import PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    home = tmp_path_factory.mktemp("prefect")
    settings = {PREFECT_HOME: home, PREFECT_LOCAL_STORAGE_PATH: home / "storage"}
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=300):
        yield home


@pytest.fixture(scope="session")
def tuned_pair(lively_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A toy model that says something else of each image and question, and an adapter with a projector of its own."""
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model

    from tasks.model.loading import load_base

    adapter = tmp_path_factory.mktemp("pair") / "checkpoint-300"
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT asks transformers for a name that its next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(28)
        config = LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False)
        tuned = get_peft_model(load_base(lively_model_dir, torch.float32), config)
        projector = {name: torch.randn_like(value) for name, value in tuned.state_dict().items() if "projector" in name}
    tuned.save_pretrained(adapter)
    torch.save(projector, adapter / "non_lora_trainables.bin")
    return lively_model_dir, adapter


NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"),
)
PATIENCE_S = 90


class Browser:
    """One page of a browser with a profile of its own, and what happened in it: requests, errors and warnings."""

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
        """Ask the browser, note what happens meanwhile, and return its answer."""
        message = {"id": next(self._numbers), "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while (heard := self._hear()).get("id") != message["id"]:
            continue
        assert "error" not in heard, heard
        return heard["result"]

    def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self._socket.recv(timeout=PATIENCE_S))
        method, values = heard.get("method"), heard.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "assert"):
            self.errors.append(json.dumps(values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            said = self.errors if values["entry"]["level"] == "error" else self.warnings
            said.append(f"{values['entry']['text']} {values['entry'].get('url')}")
        return heard

    def open(self, address: str) -> None:
        """Go to an address and wait until all of it is loaded."""
        self.call("Page.navigate", url=address)
        while self._hear().get("method") != "Page.loadEventFired":
            continue

    def close(self) -> None:
        """Leave nothing of the page."""
        self._session = None
        self.call("Target.disposeBrowserContext", browserContextId=self._profile)

    def run(self, script: str) -> Any:
        """The value of an expression in the page, a promise's when it is kept."""
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
        """Put a text where a reader would type it, and press Enter."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)
        self.press("Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")

    def press(self, key: str, **more: Any) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **{**text, **more})
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **{**more, "text": ""})

    def picture(self, file: Path) -> None:
        """Save what is seen as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The socket of a headless browser, and the numbers of what is said there."""
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
        # what a page says after its test is read by nobody, and would stop the answers to pings
        with connect(address, max_size=None, max_queue=None, ping_interval=None, proxy=None, close_timeout=1) as socket:
            yield socket, itertools.count(1)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    """An empty page of a browser that knows nothing of other pages."""
    with closing(Browser(*chromium)) as page:
        yield page


def _address_of(child: "subprocess.Popen[bytes]", file: Path) -> str:
    end = time.monotonic() + PATIENCE_S
    while not file.exists() or file.read_text().count("\n") < 1:
        assert child.poll() is None and time.monotonic() < end, "the browser did not start"
        time.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"
