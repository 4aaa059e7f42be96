import asyncio

import pytest

from tasks.errors import ConfigError
from tasks.serving.login import Slowdown, read_login


def test_without_either_nobody_logs_in():
    assert read_login({}, None) is None


def test_a_password_may_hold_colons():
    assert read_login({"RSVLM_SERVE_LOGIN": "ana:a:b"}, None) == ("ana", "a:b")


def test_a_file_goes_before_the_environment(tmp_path):
    (tmp_path / "login").write_text("ana:secret\n")
    assert read_login({"RSVLM_SERVE_LOGIN": "bo:other"}, tmp_path / "login") == ("ana", "secret")


@pytest.mark.parametrize("text", ["", "secret-word", ":secret-word", "ana:", "ana:secret-word\nbo:x"])
def test_what_is_no_login_is_refused_without_showing_it(tmp_path, text):
    (tmp_path / "login").write_text(text)
    with pytest.raises(ConfigError, match="user:password") as error:
        read_login({}, tmp_path / "login")
    assert "secret-word" not in str(error.value)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_login({}, tmp_path / "nowhere")


def tries(slowdown, address, rights):
    """How long each of some tries waited, in seconds asked for."""
    waits = []

    async def all_tries():
        for is_right in rights:
            before = len(waits)
            async with slowdown.attempt(address) as attempt:
                attempt.is_right = is_right
            if len(waits) == before:
                waits.append(0)

    async def no_sleep(seconds):
        waits.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.serving.login.asyncio.sleep", no_sleep)
        asyncio.run(all_tries())
    return waits


def test_each_wrong_password_makes_the_next_try_wait_longer_until_one_is_right():
    waits = tries(Slowdown(), "192.0.2.1", [False] * 4 + [True, False])
    assert waits == [0, 0.25, 0.5, 1, 2, 0]


def test_no_try_waits_for_more_than_half_a_minute():
    assert max(tries(Slowdown(), "192.0.2.1", [False] * 40)) == 30


def test_an_address_waits_for_its_own_mistakes_and_a_network_of_ipv6_for_all_of_its_own():
    slowdown = Slowdown()
    assert tries(slowdown, "2001:db8::1", [False]) == tries(slowdown, "192.0.2.1", [False]) == [0]
    assert tries(slowdown, "192.0.2.2", [False]) == [0]
    assert tries(slowdown, "2001:db8::ffff", [False]) == [0.25]


def test_a_second_try_is_refused_while_one_waits():
    async def both():
        slowdown = Slowdown()
        async with slowdown.attempt("192.0.2.1") as first, slowdown.attempt("192.0.2.1") as second:
            return first, second

    first, second = asyncio.run(both())
    assert first is not None and second is None


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("tasks.serving.login.MAX_ADDRESSES", 3)
    slowdown = Slowdown()
    for number in range(9):
        tries(slowdown, f"192.0.2.{number}", [False])
    assert len(slowdown._wrong) == 3
