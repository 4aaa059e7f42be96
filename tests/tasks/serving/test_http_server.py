import asyncio
import signal
import subprocess
import sys
import urllib.request

import pytest

from tasks.errors import ConfigError
from tasks.serving.hosts import Hosts
from tasks.serving.http_server import LimitsMiddleware, bind_socket

SERVER = """
from tasks.serving.http_server import bind_socket, serve_until_signal
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
with bind_socket("127.0.0.1", 0) as bound:
    print(bound.getsockname()[1], flush=True)
    serve_until_signal(app, bound)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shuts_the_server_down_without_errors(number):
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        assert urllib.request.urlopen(address, timeout=60).status == 204
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_refused():
    with bind_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} of 127.0.0.1 is taken"):
            bind_socket("127.0.0.1", port)


def test_a_released_port_can_be_bound_again():
    with bind_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
    bind_socket("127.0.0.1", port).close()


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("203.0.113.7", 0), ("127.0.0.1", 70000)])
def test_an_invalid_address_or_port_is_refused(host, port):
    with pytest.raises(ConfigError, match="give another"):
        bind_socket(host, port)


def exchange(chunks, headers=()):
    """The messages that the application received, and those that the middleware sent."""
    received, out = [], []
    pending = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]

    async def app(scope, receive, send):
        for _ in chunks:
            received.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive():
        return pending.pop(0)

    async def send(message):
        out.append(message)

    given = [(b"host", b"127.0.0.1:7860"), *headers]
    asyncio.run(LimitsMiddleware(app, 10, Hosts("127.0.0.1"))({"type": "http", "headers": given}, receive, send))
    return received, out


def test_a_small_request_passes_and_its_response_gets_security_headers():
    received, out = exchange([b"12345", b"67890"])
    assert [message["body"] for message in received] == [b"12345", b"67890"]
    assert b"default-src 'self'" in dict(out[0]["headers"])[b"content-security-policy"]


@pytest.mark.parametrize("length", [b"11", b"-1", b"much"])
def test_a_body_with_a_large_or_invalid_content_length_is_refused_unread(length):
    received, out = exchange([b""], [(b"content-length", length)])
    assert received == [] and out[0]["status"] == 413


def test_a_large_body_without_a_content_length_is_cut_off():
    received, _ = exchange([b"12345", b"678901"])
    assert [message["type"] for message in received] == ["http.request", "http.disconnect"]


def test_a_request_to_another_host_name_is_refused_unread():
    received, out = exchange([b""], [(b"host", b"evil.example")])
    assert received == [] and out[0]["status"] == 403
