"""The engine against a real HTTP server: what is sent, how many at a time, and runs that are killed and resumed."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from support.chat_server import MODEL, answer_to

from tasks.errors import ConfigError, DataError, UserError
from tasks.files import read_json
from tasks.inference.engines.chat_errors import Endpoint
from tasks.inference.engines.openai_engine import OpenAiEngine
from tasks.inference.engines.request_pacing import Clock
from tasks.inference.image_transforms import read_test_image
from tasks.inference.predict import Listener, predict
from tasks.inference.request import AnswerStore
from tasks.model.images import read_image
from tasks.records import Answer, Question

ALL = 7


async def no_pause(seconds):
    """In place of a sleep: tests do not wait."""


@pytest.fixture
def ask(request_for, records, chat_server, monkeypatch):
    """Answer the test set by the server into `out`; returns the request. Pauses take no time."""

    monkeypatch.setattr(OpenAiEngine.__init__, "__defaults__", (Clock(sleep=no_pause),))

    def build(out="out", api=None, lines=None, asked=records, **changes):
        config = {
            "engine": "openai", "equality_sample": 0, **changes.pop("config", {}),
            "api": {"base_url": chat_server.base_url, "model": MODEL, **(api or {})},
        }  # fmt: skip
        request = request_for(asked, out=out, config=config, **changes)
        predict(request, Listener(log=(lines if lines is not None else []).append))
        return request

    return build


def answers_in(request):
    lines = (request.out / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["key"]: row for row in map(json.loads, lines)}


def test_all_questions_are_answered_with_their_image_first(ask, chat_server, images):
    request = ask()
    assert len(chat_server.asked) == ALL
    answers = {row["text"] for row in answers_in(request).values()}
    assert answers == {answer_to(asked.body) for asked in chat_server.asked}
    body = next(asked.body for asked in chat_server.asked if "ship?" in asked.text)
    assert body.keys() == {"model", "messages", "max_tokens", "temperature"} and body["temperature"] == 0
    (message,) = body["messages"]
    assert message["role"] == "user" and [part["type"] for part in message["content"]] == ["image_url", "text"]
    assert message["content"][1]["text"] == "Does this picture contain ship?"
    assert read_json(request.out / "MANIFEST.json")["details"]["engine"] == f"openai {MODEL}"


@pytest.mark.parametrize("transform", [None, "rot90", "jpeg-50"])
def test_the_server_gets_the_pixels_that_a_model_would_see(ask, chat_server, records, images, transform):
    # upright, 8 bit, and without the colour profile and the transparent colour that a decoder would apply
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngImagePlugin.PngInfo()
    info.add_text("secret", "note")
    Image.effect_noise((31, 17), 90).convert("RGB").save(images / records[2]["image"], pnginfo=info, exif=exif)
    wide = np.arange(24 * 20, dtype=np.uint16).reshape(20, 24) * 100
    Image.fromarray(wide).save(images / records[0]["image"], icc_profile=b"no profile at all")
    ask(config={"transform": transform})
    expected = [read_test_image(images, record["image"], transform) for record in records]
    seen = {asked.text: asked.image for asked in chat_server.asked}
    for record, image in zip(records, expected, strict=True):
        text = record["conversations"][0]["value"].removeprefix("<image>\n")
        found = seen.get(text) or seen["What is the topic of this image?"]
        if text in seen:
            assert (found.format, found.mode, found.info.keys() - {"Software"}) == ("PNG", "RGB", set())
            assert np.array_equal(np.asarray(found), np.asarray(image))
    assert expected[2].size == ((31, 17) if transform == "rot90" else (17, 31))


def test_earlier_turns_are_messages_and_only_the_first_shows_the_image(ask, chat_server):
    ask(config={"history": "reference"})
    body = next(asked.body for asked in chat_server.asked if "number of buildings" in asked.text)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert [message["content"] for message in body["messages"][1:]] == [
        "rural", "Is there a road?", "yes", "What is the number of buildings?"
    ]  # fmt: skip


def test_sampling_sends_the_questions_own_seed_and_asks_nothing_again(ask, chat_server):
    ask(config={"temperature": 0.7, "top_p": 0.9, "equality_sample": 16})
    assert len({asked.body["seed"] for asked in chat_server.asked}) == len(chat_server.asked) == ALL
    assert {(asked.body["temperature"], asked.body["top_p"]) for asked in chat_server.asked} == {(0.7, 0.9)}


def test_greedy_answers_of_a_sample_are_asked_again(ask, chat_server):
    request = ask(config={"equality_sample": 3})
    details = read_json(request.out / "MANIFEST.json")["details"]
    assert (details["asked_alone"], details["equal_when_alone"]) == (3, 3)
    assert len(chat_server.asked) == ALL + 3


def test_extra_fields_are_added_and_null_leaves_one_out(ask, chat_server):
    extra = {"temperature": None, "chat_template_kwargs": {"enable_thinking": False}}
    ask(api={"extra": extra, "token_limit": "max_completion_tokens", "image_detail": "high"})
    body = chat_server.asked[0].body
    assert body["chat_template_kwargs"] == {"enable_thinking": False} and "temperature" not in body
    assert body["max_completion_tokens"] == 128 and "max_tokens" not in body
    assert body["messages"][0]["content"][0]["image_url"]["detail"] == "high"


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_requests_run_at_a_time_than_allowed(ask, chat_server, limit):
    # the server answers only when as many are there
    chat_server.acts.at_a_time = limit
    ask(api={"concurrency": limit}, subset_size=150)
    assert chat_server.most == limit and len(chat_server.asked) == ALL


def test_passing_failures_are_asked_again_and_change_no_answer(ask, chat_server):
    plain = ask("plain")
    chat_server.acts.faults = [
        ("status", 429, {"Retry-After": "2"}), ("status", 500, {}), ("drop",), ("body", b"<html>"), ("status", 503, {}),
        ("body", b'{"choices": []}'), ("status", 408, {}), ("status", 409, {}),
    ]  # fmt: skip
    failing = ask("failing")
    for name in ("answers.jsonl", "final.json"):
        assert (failing.out / name).read_bytes() == (plain.out / name).read_bytes()
    assert len(chat_server.asked) == 2 * ALL + 8


def test_a_server_that_does_not_answer_in_time_is_asked_again(ask, chat_server):
    chat_server.acts.faults = [("hang",)]
    ask(api={"timeout_s": 0.3})
    assert len(chat_server.asked) == ALL + 1


def test_a_refused_question_is_listed_and_all_others_are_answered_and_kept(ask, chat_server, tmp_path):
    error = {"error": {"message": "Image is too large", "code": "invalid_image"}}
    chat_server.acts.by_text = {"Is there a road?": ("status", 413, {}, error)}
    with pytest.raises(DataError, match=r"(?s)1 questions of 1 records.*6 others.*LR_1.*413: Image is too large"):
        ask()
    chat_server.acts.by_text = {}
    chat_server.asked.clear()
    ask()
    assert chat_server.texts == ["Is there a road?"]


def test_a_question_at_which_alone_the_server_fails_is_listed(ask, chat_server):
    chat_server.acts.by_text = {"Is there a road?": ("status", 500, {})}
    with pytest.raises(DataError, match=r"(?s)1 questions.*failed 3 times.*status 500.*answered other questions"):
        ask(api={"retries": 2, "concurrency": 2}, subset_size=150)


def test_a_server_that_fails_at_everything_ends_the_run(ask, chat_server, tmp_path):
    chat_server.acts.faults = [("fine",)] * 2 + [("status", 502, {})] * 100
    with pytest.raises(UserError, match=r"failed 3 times, last with status 502.*answers so far are kept"):
        ask(api={"retries": 2, "concurrency": 1})
    assert len((tmp_path / "out" / "answers.jsonl").read_text().splitlines()) == 2
    chat_server.acts.faults = []
    chat_server.asked.clear()
    ask()
    assert len(chat_server.asked) == ALL - 2


@pytest.mark.parametrize(
    ("given", "message"), [("sk-wrong-0123456789", "does not accept the key"), (None, "needs a key")]
)
def test_a_wrong_key_ends_the_run_at_once_and_is_never_shown(ask, chat_server, monkeypatch, given, message, tmp_path):
    chat_server.acts.key = "right-key"
    if given:
        monkeypatch.setenv("RSVLM_API_KEY", given)
    with pytest.raises(ConfigError, match=rf"{message} \(status 401\): set .* RSVLM_API_KEY") as raised:
        ask(api={"concurrency": 1})
    assert len(chat_server.asked) == 1 and (given is None or given not in str(raised.value))


def test_the_key_is_sent_and_in_no_file(ask, chat_server, monkeypatch, tmp_path):
    chat_server.acts.key = "right-key-77"
    monkeypatch.setenv("OPENAI_API_KEY", "right-key-77")
    lines = []
    ask(lines=lines, store=AnswerStore(uri=(tmp_path / "store").as_uri()))
    assert {asked.headers["authorization"] for asked in chat_server.asked} == {"Bearer right-key-77"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if b"right-key" in path.read_bytes()] == []
    assert "right-key" not in "".join(lines)


def test_a_model_that_the_server_lacks_ends_the_run(ask, chat_server):
    with pytest.raises(ConfigError, match=r"no chat completions of other .*does not exist.*inference\.api\.model"):
        ask(api={"model": "other"})


def test_the_same_refusal_of_all_first_questions_ends_the_run(ask, chat_server, records):
    chat_server.acts.faults = [("status", 400, {}, {"error": {"message": "Unsupported parameter: max_tokens"}})] * 99
    with pytest.raises(ConfigError, match=r"refuses all questions.*Unsupported parameter: max_tokens"):
        ask(api={"concurrency": 1}, asked=records * 3)
    assert len(chat_server.asked) == 8


def test_what_a_content_filter_withholds_is_an_empty_answer_and_counted(ask, chat_server):
    error = {"error": {"message": "filtered", "code": "content_filter"}}
    chat_server.acts.by_text = {"Is there a road?": ("status", 400, {}, error)}
    lines = []
    request = ask(lines=lines)
    assert answers_in(request)["1:1"]["text"] == ""
    assert read_json(request.out / "usage.json")["ended_by"] == {"content_filter": 1}
    assert any("1 answers did not end by themselves, but by content_filter" in line for line in lines)


def test_an_answer_cut_off_is_kept_and_one_of_reasoning_alone_is_listed(ask, chat_server):
    chat_server.acts.choice = {"finish_reason": "length"}
    request = ask()
    assert {row["served"]["finish"] for row in answers_in(request).values()} == {"length"}
    chat_server.acts.message = {"content": None, "reasoning_content": "hm"}
    with pytest.raises(DataError, match=r"(?s)7 questions.*128 tokens hold no answer: raise inference\.max_new_tok"):
        ask("second")


def test_a_refusal_of_the_model_is_its_answer(ask, chat_server):
    chat_server.acts.message = {"content": None, "refusal": "I cannot help with that."}
    assert {row["text"] for row in answers_in(ask()).values()} == {"I cannot help with that."}


def test_half_a_character_at_the_end_does_not_stop_the_run(ask, chat_server):
    chat_server.acts.message = {"content": "yes \ud83d"}
    assert {row["text"] for row in answers_in(ask()).values()} == {"yes \ufffd"}


def test_log_probabilities_give_the_probability_of_an_answer(ask, chat_server):
    chat_server.acts.choice = {
        "logprobs": {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}
    }
    row = answers_in(ask(api={"logprobs": True}))["0:0"]
    assert (row["probability"], row["mean_log_probability"]) == (0.2231, -0.75)
    assert chat_server.asked[0].body["logprobs"] is True


def test_cached_answers_are_not_paid_for_again_unless_what_is_sent_changes(ask, chat_server, tmp_path):
    store = AnswerStore(uri=(tmp_path / "store").as_uri())

    def asked(out, **changes):
        chat_server.asked.clear()
        ask(out, store=store, **changes)
        return len(chat_server.asked)

    assert asked("first") == ALL
    assert asked("second", api={"concurrency": 1, "retries": 0, "timeout_s": 7, "input_price": 3}) == 0
    assert asked("third", api={"revision": "step 100"}) == ALL
    assert asked("fourth", api={"extra": {"reasoning_effort": "low"}}) == ALL
    assert asked("fifth", config={"max_new_tokens": 9}) == ALL


def test_an_engine_can_be_used_while_an_event_loop_runs(request_for, records, chat_server):
    import asyncio

    api = {"base_url": chat_server.base_url, "model": MODEL}
    request = request_for(records, config={"engine": "openai", "api": api})
    engine = OpenAiEngine(request, Endpoint(chat_server.base_url, MODEL), Clock(sleep=no_pause))
    question = Question(key="0:0", record=0, turn=0, image=records[0]["image"], turns=(("human", "<image>\nWhat?"),))

    async def cell():
        return engine.answer_alone(question)

    assert isinstance(asyncio.run(cell()), Answer)


def test_leaving_early_cancels_the_requests_at_once(request_for, records, chat_server):
    chat_server.acts.faults = [("fine",)] + [("hang",)] * 9
    api = {"base_url": chat_server.base_url, "model": MODEL, "concurrency": 3, "timeout_s": 3000}
    request = request_for(records, config={"engine": "openai", "api": api})
    engine = OpenAiEngine(request, Endpoint(chat_server.base_url, MODEL))
    questions = [
        Question(key=f"0:{n}", record=0, turn=n, image=records[0]["image"], turns=(("human", f"<image>\n{n}?"),))
        for n in range(6)
    ]
    found = engine.answer(questions)
    assert len(next(found)) == 1
    # would take as long as the time limit if it waited for the answers
    found.close()


def test_a_killed_run_asks_only_what_is_missing(request_for, records, chat_server, tmp_path):
    (tmp_path / "test.json").write_text(json.dumps(records))
    request_for(records)
    # it answers four and hangs
    chat_server.acts.faults = [("fine",)] * 4 + [("hang",)]
    settings = [f"base_url={chat_server.base_url}", f"model={MODEL}", "concurrency=1"]
    command = [
        *(sys.executable, "-m", "flows.cli", "predict", "--engine", "openai", "--subset-size", "2"),
        *(
            "--data",
            str(tmp_path / "test.json"),
            "--images",
            str(tmp_path / "imagenes"),
            "--out",
            str(tmp_path / "out"),
        ),
        *(word for setting in settings for word in ("--set", f"inference.api.{setting}")),
        *("--set", "inference.equality_sample=0"),
    ]
    child = subprocess.Popen(command, env={**os.environ, "OPENAI_API_KEY": "unused"})
    with chat_server.changed:
        assert chat_server.changed.wait_for(lambda: len(chat_server.asked) == 5, timeout=120)
    child.send_signal(signal.SIGKILL)
    child.wait(timeout=60)
    answered = [asked.text for asked in chat_server.asked[:4]]
    chat_server.asked.clear()
    assert subprocess.run(command, timeout=300).returncode == 0
    assert len(chat_server.asked) == ALL - 4 and not set(answered) & set(chat_server.texts)
    assert read_json(tmp_path / "out" / "usage.json")["prompt_tokens"] == 100 * ALL


def test_the_image_is_read_once_for_all_questions_about_it(ask, monkeypatch):
    from tasks.inference import image_transforms

    read = []
    monkeypatch.setattr(image_transforms, "read_image", lambda path: read.append(path) or read_image(path))
    ask(subset_size=150)
    assert len(read) == 4
