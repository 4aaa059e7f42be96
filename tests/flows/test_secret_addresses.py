"""Secrets in URLs of mirrors and archives do not appear in a run's files or in Prefect's database."""

import base64
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from deployments.configuration import load_config
from tasks.errors import ConfigError

SECRET = "b3tween-us-0nly"
SIGNATURE = "s1gned-redirect"
WAYS = {
    "login": ("http://user:${LR_SECRET}@{host}/LR.zip", SECRET),
    "query": ("http://{host}/LR.zip?token=${LR_SECRET}", SECRET),
    "path": ("http://{host}/${LR_SECRET}/LR.zip", SECRET),
    "whole": ("${LR_SECRET}", f"http://{{host}}/LR.zip?token={SECRET}"),
    "redirect": ("http://{host}/redirect/LR.zip?token=${LR_SECRET}", SECRET),
}
RECORD = {
    "id": "1",
    "image": "LR/Train/1.tif",
    "conversations": [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}],
}


class Keeper:
    """A server that requires a secret for an archive, optionally with a redirect to a signed URL."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("1.tif", "image")
        self.given, archive = 0, buffer.getvalue()
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                return

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path.startswith("/redirect/") and SECRET in parts.query:
                    self.send_response(302)
                    self.send_header("Location", f"/LR.zip?X-Amz-Signature={SIGNATURE}")
                    self.end_headers()
                    return
                if not self._knows(parts.path, parse_qs(parts.query)):
                    self.send_error(403)
                    return
                keeper.given += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(archive)))
                self.end_headers()
                self.wfile.write(archive)

            def _knows(self, path: str, query: dict[str, list[str]]) -> bool:
                login = base64.b64encode(f"user:{SECRET}".encode()).decode()
                return (
                    self.headers.get("Authorization") == f"Basic {login}"
                    or query in ({"token": [SECRET]}, {"X-Amz-Signature": [SIGNATURE]})
                    or path == f"/{SECRET}/LR.zip"
                )

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with closing(Keeper()) as server:
        yield server


def written_below(folder: Path) -> bytes:
    """Content and names of all files of a folder."""
    return b"\n".join(
        str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in sorted(folder.rglob("*"))
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_secret_of_a_mirror_is_in_no_log_database_or_manifest(way, keeper, prefect_server, tmp_path):
    from prefect.settings import PREFECT_API_URL

    (tmp_path / "raw.json").write_text(json.dumps([RECORD]))
    address, value = (text.replace("{host}", keeper.host) for text in WAYS[way])
    command = ["-m", "flows.cli", "data", "fetch", "--root", str(tmp_path / "data"), "--sources", "LR"]
    environment = {
        **os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value()), "LR_SECRET": value,
        "PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, *command, "--archive", f"instructions={tmp_path / 'raw.json'}", "--mirror", f"LR={address}"],
        capture_output=True, env=environment, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, keeper.given) == (0, 1), done.stderr.decode()
    said = done.stdout + done.stderr + written_below(tmp_path) + written_below(prefect_server) + logs_of_server()
    for secret in (SECRET, SIGNATURE):
        assert secret.encode() not in said
    # what is looked through is where it would be: the parameters and the messages of this run
    assert keeper.host.encode() in said or way == "whole"


def logs_of_server() -> bytes:
    from prefect.settings import PREFECT_API_URL

    address = str(PREFECT_API_URL.value())
    asked = [httpx.post(f"{address}/{what}/filter", json={"limit": 200}) for what in ("logs", "flow_runs", "task_runs")]
    events = httpx.post(f"{address}/events/filter", json={"limit": 50})
    return b"".join(answer.content for answer in (*asked, events))


@pytest.mark.parametrize("section", ["archives", "mirrors"])
@pytest.mark.parametrize("address", ["https://user:s3cret@host/a.zip", "[a.zip,'https://host/a?sig=s3cret']"])
def test_a_secret_in_a_setting_is_refused_and_not_repeated(section, address):
    with pytest.raises(ConfigError, match=f"data.{section}: .*environment variable") as refused:
        load_config("demo", [f"data.{section}.LR={address}"])
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://user:s3cret@host", "https://host/?sig=s3cret", "https://s3cret@host:9000"])
def test_the_address_of_a_store_holds_no_login(address):
    with pytest.raises(ConfigError, match="endpoint_url") as refused:
        load_config("demo", [f"store.endpoint_url={address}"])
    assert "s3cret" not in str(refused.value)


def test_the_run_form_refuses_an_address_with_a_secret():
    from prefect.utilities.schema_tools import is_valid_schema, validate

    from tasks.settings import ExperimentConfig

    schema = ExperimentConfig.model_json_schema()
    is_valid_schema(schema)
    refused = {"mirrors": {"LR": "https://host/a?token=s3cret"}}, {"archives": {"LR": ["https://u:s3cret@host/a"]}}
    for data in refused:
        assert validate({"data": data}, schema, raise_on_error=False, preprocess=False)
    assert not validate({"data": {"mirrors": {"LR": "https://host/a?token=${T}"}}}, schema, raise_on_error=False)
