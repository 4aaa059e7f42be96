"""The engine against a server that fails: what is asked again, what is listed, what ends a run."""

import pytest

from tasks.errors import ConfigError, DataError, UserError
from tasks.files import read_json
from tasks.inference.request import AnswerStore

ALL = 7


def test_passing_failures_are_asked_again_and_change_no_answer(ask_served, chat_server):
    plain = ask_served("plain")
    chat_server.acts.faults = [
        ("status", 429, {"Retry-After": "2"}), ("status", 500, {}), ("drop",), ("body", b"<html>"), ("status", 503, {}),
        ("body", b'{"choices": []}'), ("status", 408, {}), ("status", 409, {}),
    ]  # fmt: skip
    failing = ask_served("failing")
    for name in ("answers.jsonl", "final.json"):
        assert (failing.out / name).read_bytes() == (plain.out / name).read_bytes()
    assert len(chat_server.asked) == 2 * ALL + 8


def test_a_server_that_does_not_answer_in_time_is_asked_again(ask_served, chat_server):
    chat_server.acts.faults = [("hang",)]
    ask_served(api={"timeout_s": 0.3})
    assert len(chat_server.asked) == ALL + 1


def test_a_refused_question_is_listed_and_all_others_are_answered_and_kept(ask_served, chat_server, tmp_path):
    error = {"error": {"message": "Image is too large", "code": "invalid_image"}}
    chat_server.acts.by_text = {"Is there a road?": ("status", 413, {}, error)}
    with pytest.raises(DataError, match=r"(?s)1 questions of 1 records.*6 others.*LR_1.*413: Image is too large"):
        ask_served()
    chat_server.acts.by_text = {}
    chat_server.asked.clear()
    ask_served()
    assert chat_server.texts == ["Is there a road?"]


def test_a_question_at_which_alone_the_server_fails_is_listed(ask_served, chat_server):
    chat_server.acts.by_text = {"Is there a road?": ("status", 500, {})}
    with pytest.raises(DataError, match=r"(?s)1 questions.*failed 3 times.*status 500.*answered other questions"):
        ask_served(api={"retries": 2, "concurrency": 2}, subset_size=150)


def test_a_server_that_fails_at_everything_ends_the_run(ask_served, chat_server, tmp_path):
    chat_server.acts.faults = [("fine",)] * 2 + [("status", 502, {})] * 100
    with pytest.raises(UserError, match=r"failed 3 times, last with status 502.*answers so far are kept"):
        ask_served(api={"retries": 2, "concurrency": 1})
    assert len((tmp_path / "out" / "answers.jsonl").read_text().splitlines()) == 2
    chat_server.acts.faults = []
    chat_server.asked.clear()
    ask_served()
    assert len(chat_server.asked) == ALL - 2


@pytest.mark.parametrize(
    ("given", "message"), [("sk-wrong-0123456789", "does not accept the key"), (None, "needs a key")]
)
def test_a_wrong_key_ends_the_run_at_once_and_is_never_shown(
    ask_served, chat_server, monkeypatch, given, message, tmp_path
):
    chat_server.acts.key = "right-key"
    if given:
        monkeypatch.setenv("RSVLM_API_KEY", given)
    with pytest.raises(ConfigError, match=rf"{message} \(status 401\): set .* RSVLM_API_KEY") as raised:
        ask_served(api={"concurrency": 1})
    assert len(chat_server.asked) == 1 and (given is None or given not in str(raised.value))


def test_the_key_is_sent_and_in_no_file(ask_served, chat_server, monkeypatch, tmp_path):
    chat_server.acts.key = "right-key-77"
    monkeypatch.setenv("OPENAI_API_KEY", "right-key-77")
    lines = []
    ask_served(lines=lines, store=AnswerStore(uri=(tmp_path / "store").as_uri()))
    assert {asked.headers["authorization"] for asked in chat_server.asked} == {"Bearer right-key-77"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if b"right-key" in path.read_bytes()] == []
    assert "right-key" not in "".join(lines)


def test_a_model_that_the_server_lacks_ends_the_run(ask_served, chat_server):
    with pytest.raises(ConfigError, match=r"no chat completions of other .*does not exist.*inference\.api\.model"):
        ask_served(api={"model": "other"})


def test_the_same_refusal_of_all_first_questions_ends_the_run(ask_served, chat_server, records):
    chat_server.acts.faults = [("status", 400, {}, {"error": {"message": "Unsupported parameter: max_tokens"}})] * 99
    with pytest.raises(ConfigError, match=r"refuses all questions.*Unsupported parameter: max_tokens"):
        ask_served(api={"concurrency": 1}, asked=records * 3)
    assert len(chat_server.asked) == 8


def test_what_a_content_filter_withholds_is_an_empty_answer_and_counted(ask_served, chat_server, logged_answers):
    error = {"error": {"message": "filtered", "code": "content_filter"}}
    chat_server.acts.by_text = {"Is there a road?": ("status", 400, {}, error)}
    lines = []
    request = ask_served(lines=lines)
    assert logged_answers(request)["1:1"]["text"] == ""
    assert read_json(request.out / "usage.json")["ended_by"] == {"content_filter": 1}
    assert any("1 answers did not end by themselves, but by content_filter" in line for line in lines)


def test_an_answer_cut_off_is_kept_and_one_of_reasoning_alone_is_listed(ask_served, chat_server, logged_answers):
    chat_server.acts.choice = {"finish_reason": "length"}
    request = ask_served()
    assert {row["served"]["finish"] for row in logged_answers(request).values()} == {"length"}
    chat_server.acts.message = {"content": None, "reasoning_content": "hm"}
    with pytest.raises(DataError, match=r"(?s)7 questions.*128 tokens hold no answer: raise inference\.max_new_tok"):
        ask_served("second")


def test_a_refusal_of_the_model_is_its_answer(ask_served, chat_server, logged_answers):
    chat_server.acts.message = {"content": None, "refusal": "I cannot help with that."}
    assert {row["text"] for row in logged_answers(ask_served()).values()} == {"I cannot help with that."}


def test_half_a_character_at_the_end_does_not_stop_the_run(ask_served, chat_server, logged_answers):
    chat_server.acts.message = {"content": "yes \ud83d"}
    assert {row["text"] for row in logged_answers(ask_served()).values()} == {"yes \ufffd"}
