"""A small experiment to start on a server, and a receiver of notifications."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from support.prefect_servers import orchestra

from deployments.configuration import load_config

__all__ = ["orchestra"]

SMALL = (
    *("data.sources=[LR]", "data.sample.scenes=40", "data.sample.image_size=48", "data.train=0.5", "data.test=0.5"),
    *("training.max_steps=2", "training.save_steps=1", "training.logging_steps=1", "training.lora_r=4"),
    *("training.lora_alpha=8", "training.per_device_train_batch_size=4"),
    *("inference.max_new_tokens=2", "evaluation.gallery=2"),
)


@pytest.fixture(scope="module")
def small(tiny_model_dir: Path) -> Callable[..., dict[str, Any]]:
    """Parameters of an experiment of a few steps, without captions; further values are those of `training`."""

    def build(name: str, **training: Any) -> dict[str, Any]:
        changes = [f"training.{key}={value}" for key, value in training.items()]
        config = load_config("demo", [*SMALL, f"model.base={tiny_model_dir}", *changes])
        return {"config": config.as_plain(), "name": name}

    return build


@pytest.fixture(scope="module")
def told() -> Iterator[SimpleNamespace]:
    """A receiver of notifications: its address, and the bodies received."""
    bodies: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/lab", bodies=bodies)
        server.shutdown()
