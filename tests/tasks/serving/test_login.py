import asyncio

import pytest

from tasks.errors import ConfigError
from tasks.serving.login import LoginThrottle, read_login


def test_without_file_and_variable_there_is_no_login():
    assert read_login({}, None) is None


def test_a_password_may_hold_colons():
    assert read_login({"RSVLM_SERVE_LOGIN": "ana:a:b"}, None) == ("ana", "a:b")


def test_a_file_takes_precedence_over_the_environment(tmp_path):
    (tmp_path / "login").write_text("ana:secret\n")
    assert read_login({"RSVLM_SERVE_LOGIN": "bo:other"}, tmp_path / "login") == ("ana", "secret")


@pytest.mark.parametrize("text", ["", "secret-word", ":secret-word", "ana:", "ana:secret-word\nbo:x"])
def test_an_invalid_login_is_refused_without_showing_it(tmp_path, text):
    (tmp_path / "login").write_text(text)
    with pytest.raises(ConfigError, match="user:password") as error:
        read_login({}, tmp_path / "login")
    assert "secret-word" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_login({}, tmp_path / "nowhere")


def attempts(throttle, address, results):
    """The delay of each attempt in seconds."""
    waits = []

    async def all_attempts():
        for succeeded in results:
            before = len(waits)
            async with throttle.attempt(address) as attempt:
                attempt.succeeded = succeeded
            if len(waits) == before:
                waits.append(0)

    async def no_sleep(seconds):
        waits.append(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.serving.login.asyncio.sleep", no_sleep)
        asyncio.run(all_attempts())
    return waits


def test_each_wrong_password_doubles_the_delay_until_one_is_right():
    waits = attempts(LoginThrottle(), "192.0.2.1", [False] * 4 + [True, False])
    assert waits == [0, 0.25, 0.5, 1, 2, 0]


def test_the_delay_is_at_most_half_a_minute():
    assert max(attempts(LoginThrottle(), "192.0.2.1", [False] * 40)) == 30


def test_addresses_are_delayed_separately_and_an_ipv6_network_as_one():
    throttle = LoginThrottle()
    assert attempts(throttle, "2001:db8::1", [False]) == attempts(throttle, "192.0.2.1", [False]) == [0]
    assert attempts(throttle, "192.0.2.2", [False]) == [0]
    assert attempts(throttle, "2001:db8::ffff", [False]) == [0.25]


def test_a_second_attempt_is_refused_while_one_waits():
    async def both():
        throttle = LoginThrottle()
        async with throttle.attempt("192.0.2.1") as first, throttle.attempt("192.0.2.1") as second:
            return first, second

    first, second = asyncio.run(both())
    assert first is not None and second is None


def test_the_number_of_remembered_addresses_is_bounded(monkeypatch):
    monkeypatch.setattr("tasks.serving.login.MAX_ADDRESSES", 3)
    throttle = LoginThrottle()
    for number in range(9):
        attempts(throttle, f"192.0.2.{number}", [False])
    assert len(throttle._failures) == 3
