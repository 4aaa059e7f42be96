"""A page as `rsvlm serve` builds it, whose model is slow and records each step.

    python served_page.py MODEL FOLDER LOGIN_OR_NOTHING GRACE_S

prints its address and Gradio's paths as JSON.
"""

import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

MODEL, FOLDER, LOGIN, GRACE_S = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
os.environ |= {"GRADIO_TEMP_DIR": str(FOLDER / "files"), "GRADIO_ANALYTICS_ENABLED": "False"}


@contextmanager
def record_step():
    """Record one step of the model."""
    with (FOLDER / "steps").open("a") as steps:
        steps.write(".")
    time.sleep(0.01)
    yield


def main():
    from PIL import Image

    from tasks.model.loading import load_model
    from tasks.serving import sessions as serving_sessions
    from tasks.serving.answers import Example
    from tasks.serving.hosts import Hosts
    from tasks.serving.http_server import LimitsMiddleware, bind_socket, serve_until_signal
    from tasks.serving.models import ServedModel
    from tasks.serving.page import build_page, mount_page
    from tasks.serving.uploads import Uploads

    serving_sessions.GRACE_S = GRACE_S
    Image.new("RGB", (40, 30), "green").save(FOLDER / "example.png")
    uploads = Uploads(FOLDER / "files")
    model = ServedModel("model", load_model(MODEL, dtype="float32"), record_step)
    page = build_page([model], "", uploads, [Example(FOLDER / "example.png", "Is it green?")])
    assert not page.has_launched
    app = mount_page(page, uploads, tuple(LOGIN.split(":")) if LOGIN else None)
    assert page.has_launched, "Gradio does not check file paths"
    with bind_socket("127.0.0.1", 0) as bound:
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        routes = [route.path for route in page.app.routes if hasattr(route, "path")]
        print(json.dumps({"address": address, "routes": routes}), flush=True)
        serve_until_signal(LimitsMiddleware(app, 1_000_000, Hosts("127.0.0.1")), bound)


main()
