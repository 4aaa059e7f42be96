import json

import pytest

from tasks.errors import ConfigError, UserError
from tasks.inference.engines.chat_errors import Endpoint, Failure, QuestionRefused, outcome_of, retry_after
from tasks.inference.engines.chat_replies import Reply

ENDPOINT = Endpoint("https://host/v1/", "m", "k-secret-77")


def outcome(status, value=None, **headers):
    content = value if isinstance(value, bytes) else json.dumps(value or {}).encode()
    return outcome_of(ENDPOINT, status, {name.replace("_", "-"): text for name, text in headers.items()}, content, 0.0)


def test_the_key_is_in_no_representation_of_an_endpoint():
    assert "k-secret-77" not in repr(ENDPOINT)
    assert ENDPOINT.chat_url == "https://host/v1/chat/completions"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_a_failure_with_the_pause_that_the_server_asks_for(status):
    assert outcome(status, retry_after="7") == Failure(f"status {status}", 7.0)


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"choices": []}', b'{"choices": [{}]}', b"\xff\xfe", b""])
def test_a_body_that_is_no_completion_may_pass(content):
    found = outcome(200, content)
    assert isinstance(found, Failure) and "no chat completion" in found.reason


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "too long"}}, {"error": "too long"}, {"detail": "too long"}, {"message": "too long"}],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_question_is_refused_in_the_words_of_every_server(status, body):
    with pytest.raises(QuestionRefused, match=f"status {status}: too long"):
        outcome(status, body)


@pytest.mark.parametrize(("status", "said"), [(401, "RSVLM_API_KEY"), (403, "allow"), (404, "/models"), (405, "asked")])
def test_what_asking_again_cannot_change_ends_the_run_without_the_key(status, said):
    with pytest.raises(ConfigError, match=said) as raised:
        outcome(status, {"error": {"message": "no: k-secret-77"}})
    assert "k-secret" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_redirect_is_not_followed():
    with pytest.raises(ConfigError, match="redirects to https://other/v1: set"):
        outcome(307, location="https://user:pw@other/v1?key=1")


@pytest.mark.parametrize(
    ("status", "body"),
    [(402, {}), (429, {"error": {"message": "no credit", "code": "insufficient_quota"}})],
)
def test_an_account_without_credit_ends_the_run(status, body):
    with pytest.raises(UserError, match="wants to be paid first"):
        outcome(status, body)


def test_a_filtered_prompt_is_an_answer_without_text():
    body = {"error": {"message": "filtered", "code": "content_filter"}}
    assert outcome(400, body) == Reply("", finish="content_filter")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 50.0),
        ({"retry-after": "Wed, 31 Dec 1969 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, 0.0),
    ],
)
def test_a_pause_is_given_in_seconds_or_as_a_date(headers, seconds):
    assert retry_after(headers, now_s=10.0) == seconds
