import json

import pytest

from tasks.inference.engines.chat_replies import Reply, parse_reply


def reply(message, **more):
    choice = {"message": message, "finish_reason": more.pop("finish", "stop"), **more.pop("choice", {})}
    return parse_reply(json.dumps({"choices": [choice], **more}).encode())


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": " yes\n"}, "yes"),
        ({"content": [{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]}, "yes"),
        ({"content": None}, ""),
        ({}, ""),
        ({"content": "", "refusal": "I cannot."}, "I cannot."),
        ({"content": "a\ud83d\ude00 \ud83d"}, "a\U0001f600 \ufffd"),
    ],
)
def test_the_text_of_every_form_of_message(message, text):
    assert reply(message) == Reply(text)


def test_usage_name_and_end_are_read():
    usage = {"prompt_tokens": 5, "completion_tokens": 2}
    found = reply({"content": "a"}, usage=usage, model="m-2025", finish="length")
    assert (found.prompt_tokens, found.tokens, found.model, found.finish) == (5, 2, "m-2025", "length")


@pytest.mark.parametrize("usage", [{"prompt_tokens": -1}, {"prompt_tokens": "many"}])
def test_impossible_usage_is_refused(usage):
    with pytest.raises(ValueError, match="prompt_tokens"):
        reply({"content": "a"}, usage=usage)
