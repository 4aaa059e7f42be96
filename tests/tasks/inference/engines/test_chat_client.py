"""How long the client waits, and when it gives up; a clock of the test takes the place of time."""

import asyncio

import pytest
from support.chat_server import MODEL

from tasks.errors import UserError
from tasks.inference.engines.chat_client import ChatClient
from tasks.inference.engines.chat_errors import Endpoint
from tasks.inference.engines.request_pacing import Clock
from tasks.settings import ApiConfig


@pytest.fixture
def complete(chat_server):
    """Send one request; returns its text and the pauses in seconds."""

    def send(base_url=None, **api):
        pauses, now = [], [0.0]

        async def sleep(seconds):
            pauses.append(seconds)
            now[0] += seconds

        config = ApiConfig.model_validate({"base_url": base_url or chat_server.base_url, "model": MODEL, **api})
        clock = Clock(now=lambda: now[0], sleep=sleep, chance=lambda: 0.0)
        client = ChatClient(Endpoint(config.base_url, MODEL), config, clock)
        message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": ""}}, {"text": "Why?"}]}

        async def work():
            async with client.connections() as http:
                return await client.complete(http, {"model": MODEL, "messages": [message]})

        return asyncio.run(work()), pauses

    return send


def test_the_server_says_how_long_to_wait_and_otherwise_pauses_double(complete, chat_server, caplog):
    chat_server.acts.faults = [("status", 429, {"Retry-After": "42"}), ("status", 500, {}), ("drop",), ("body", b"{")]
    reply, pauses = complete()
    assert reply.tokens == 3 and pauses == [42.0, 2.0, 4.0, 8.0]
    assert "status 429: it failed; asked again in 42.0 s" in caplog.text


def test_a_server_that_asks_for_a_very_long_pause_ends_the_run(complete, chat_server):
    chat_server.acts.faults = [("status", 429, {"Retry-After": "3600"})]
    with pytest.raises(UserError, match="asks to wait 3600 s"):
        complete()


def test_an_unreachable_server_is_given_up_after_the_retries(complete):
    with pytest.raises(UserError, match=r"failed 3 times, last with .*: check the server"):
        complete(base_url="http://127.0.0.1:9/v1", retries=2)
