import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest

from tasks.errors import DataError
from tasks.serving.image_downloads import fetch_image, is_url

BODY = b"an image" * 1000


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/to-a-file":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/passwd")
            self.end_headers()
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/image")
            self.end_headers()
            return
        self.send_response(200 if self.path == "/image" else 404)
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/image", "/moved"])
def test_an_image_is_downloaded(site, tmp_path, path):
    fetch_image(site + path, tmp_path / "image")
    assert (tmp_path / "image").read_bytes() == BODY


def test_a_large_download_is_stopped(site, tmp_path):
    with pytest.raises(DataError, match="larger than 100 bytes"):
        fetch_image(site + "/image", tmp_path / "image", max_bytes=100)


def test_a_slow_download_is_stopped(site, tmp_path):
    minutes = count(step=60)
    with pytest.raises(DataError, match="longer than 30 s"):
        fetch_image(site + "/image", tmp_path / "image", clock=lambda: next(minutes))


def test_a_missing_file_is_an_error(site, tmp_path):
    with pytest.raises(DataError, match="404"):
        fetch_image(site + "/nothing", tmp_path / "image")


def test_a_server_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be fetched"):
        fetch_image("http://127.0.0.1:1/image", tmp_path / "image")


def test_a_redirect_to_another_scheme_is_not_followed(site, tmp_path):
    with pytest.raises(DataError, match="not on the web"):
        fetch_image(site + "/to-a-file", tmp_path / "image")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.org/a.png", "/etc/passwd"])
def test_only_http_and_https_are_downloaded(tmp_path, address):
    assert not is_url(address)
    with pytest.raises(DataError, match="not an http or https URL"):
        fetch_image(address, tmp_path / "image")
