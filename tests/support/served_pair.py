"""A server process with base and tuned model, behind a login."""

import os
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from support.locations import REPO

LOGIN = ("ana", "secret")
SECRET = "a key of the cloud"


def serve(*arguments, stderr=subprocess.PIPE, **environment):
    """A server process, not yet ready."""
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "serve", *map(str, arguments)],
        cwd=REPO,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def stderr(tmp_path_factory):
    """The file of the server's stderr, which names each module that it imports."""
    return tmp_path_factory.mktemp("stderr") / "stderr.txt"


@pytest.fixture(scope="module")
def server(tuned_pair, tmp_path_factory, stderr):
    """The address of a page with base and tuned model, behind a login."""
    base, adapter = tuned_pair
    temporary = tmp_path_factory.mktemp("serving")
    environment = {"TMPDIR": str(temporary), "RSVLM_SERVE_LOGIN": ":".join(LOGIN), "PYTHONPROFILEIMPORTTIME": "1"}
    environment |= dict.fromkeys(("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MY_OWN"), SECRET)
    with (
        stderr.open("w") as errors,
        serve("--model", base, "--adapter", adapter, "--port", 0, stderr=errors, **environment) as process,
    ):
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), stderr.read_text()
        # what the system, and so a hole in the server, would show
        shown = Path(f"/proc/{process.pid}/environ").read_text()
        assert SECRET not in shown and "RSVLM_SERVE_LOGIN" not in shown and f"TMPDIR={temporary}" in shown
        yield address
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert process.returncode == 0
    assert not {"Traceback", LOGIN[1]} & set(re.findall(r"\w+", stderr.read_text()))
    # uploads and examples are deleted
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def client(server, tmp_path_factory):
    from gradio_client import Client

    folder = tmp_path_factory.mktemp("client")
    return Client(server, auth=LOGIN, verbose=False, analytics_enabled=False, download_files=folder)


@pytest.fixture(scope="module")
def cookies(server):
    """The cookies of a visitor who has logged in."""
    jar = CookieJar()
    form = urllib.parse.urlencode({"username": LOGIN[0], "password": LOGIN[1]}).encode()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(f"{server}/login", form, timeout=60) as response:
        assert response.status == 200
    return jar


@pytest.fixture(scope="module")
def visitor(cookies):
    """An opener that has logged in."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
