import pytest

from tasks.errors import ConfigError
from tasks.inference.engines.api_key import read_api_key, without_key

FAR, NEAR = "http://node3:8000/v1", "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({}, None),
        ({"RSVLM_API_KEY": "own\n", "OPENAI_API_KEY": "common"}, "own"),
        ({"OPENAI_API_KEY": "common"}, "common"),
        ({"RSVLM_API_KEY": "", "OPENAI_API_KEY": "common"}, None),
    ],
)
def test_the_key_comes_from_the_environment_and_ours_first(environment, key):
    assert read_api_key(NEAR, environment) == read_api_key("https://api.example.org/v1", environment) == key


def test_a_common_key_is_not_sent_unencrypted_to_another_machine():
    with pytest.raises(ConfigError, match="unencrypted to http://node3") as raised:
        read_api_key(FAR, {"OPENAI_API_KEY": "s3cret"})
    assert "s3cret" not in str(raised.value)
    assert read_api_key(FAR, {"RSVLM_API_KEY": "s3cret"}) == "s3cret"
    assert read_api_key(FAR, {"RSVLM_API_KEY": "", "OPENAI_API_KEY": "s3cret"}) is None


@pytest.mark.parametrize("key", ["two words", "k\u00e9y", "a\r\nHost: b"])
def test_a_key_that_no_header_can_hold_is_refused_without_repeating_it(key):
    with pytest.raises(ConfigError, match="set it again") as raised:
        read_api_key(NEAR, {"RSVLM_API_KEY": key})
    assert key not in str(raised.value)


def test_messages_are_short_and_without_secrets():
    text = "Incorrect key\n k-77 or sk-proj-abcdef***xyz at https://me:pw@host/v1?token=t. " + "x" * 999
    shown = without_key(text, "k-77")
    assert not any(secret in shown for secret in ("k-77", "abcdef", "pw", "token"))
    assert "\n" not in shown and len(shown) < 310
