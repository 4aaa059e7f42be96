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

from tasks.files import read_json
from tasks.inference.engines.chat_errors import Endpoint
from tasks.inference.engines.openai_engine import OpenAiEngine
from tasks.inference.engines.request_pacing import Clock
from tasks.inference.image_transforms import read_test_image
from tasks.inference.request import AnswerStore
from tasks.model.images import read_image
from tasks.records import Answer, Question

ALL = 7


def test_all_questions_are_answered_with_their_image_first(ask_served, chat_server, images, logged_answers):
    request = ask_served()
    assert len(chat_server.asked) == ALL
    answers = {row["text"] for row in logged_answers(request).values()}
    assert answers == {answer_to(asked.body) for asked in chat_server.asked}
    body = next(asked.body for asked in chat_server.asked if "ship?" in asked.text)
    assert body.keys() == {"model", "messages", "max_tokens", "temperature"} and body["temperature"] == 0
    (message,) = body["messages"]
    assert message["role"] == "user" and [part["type"] for part in message["content"]] == ["image_url", "text"]
    assert message["content"][1]["text"] == "Does this picture contain ship?"
    assert read_json(request.out / "MANIFEST.json")["details"]["engine"] == f"openai {MODEL}"


@pytest.mark.parametrize("transform", [None, "rot90", "jpeg-50"])
def test_the_server_gets_the_pixels_that_a_model_would_see(ask_served, chat_server, records, images, transform):
    # upright, 8 bit, and without the colour profile and the transparent colour that a decoder would apply
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngImagePlugin.PngInfo()
    info.add_text("secret", "note")
    Image.effect_noise((31, 17), 90).convert("RGB").save(images / records[2]["image"], pnginfo=info, exif=exif)
    wide = np.arange(24 * 20, dtype=np.uint16).reshape(20, 24) * 100
    Image.fromarray(wide).save(images / records[0]["image"], icc_profile=b"no profile at all")
    ask_served(config={"transform": transform})
    expected = [read_test_image(images, record["image"], transform) for record in records]
    seen = {asked.text: asked.image for asked in chat_server.asked}
    for record, image in zip(records, expected, strict=True):
        text = record["conversations"][0]["value"].removeprefix("<image>\n")
        found = seen.get(text) or seen["What is the topic of this image?"]
        if text in seen:
            assert (found.format, found.mode, found.info.keys() - {"Software"}) == ("PNG", "RGB", set())
            assert np.array_equal(np.asarray(found), np.asarray(image))
    assert expected[2].size == ((31, 17) if transform == "rot90" else (17, 31))


def test_earlier_turns_are_messages_and_only_the_first_shows_the_image(ask_served, chat_server):
    ask_served(config={"history": "reference"})
    body = next(asked.body for asked in chat_server.asked if "number of buildings" in asked.text)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"] * 2 + ["user"]
    assert [message["content"] for message in body["messages"][1:]] == [
        "rural", "Is there a road?", "yes", "What is the number of buildings?"
    ]  # fmt: skip


def test_sampling_sends_the_questions_own_seed_and_asks_nothing_again(ask_served, chat_server):
    ask_served(config={"temperature": 0.7, "top_p": 0.9, "equality_sample": 16})
    assert len({asked.body["seed"] for asked in chat_server.asked}) == len(chat_server.asked) == ALL
    assert {(asked.body["temperature"], asked.body["top_p"]) for asked in chat_server.asked} == {(0.7, 0.9)}


def test_greedy_answers_of_a_sample_are_asked_again(ask_served, chat_server):
    request = ask_served(config={"equality_sample": 3})
    details = read_json(request.out / "MANIFEST.json")["details"]
    assert (details["asked_alone"], details["equal_when_alone"]) == (3, 3)
    assert len(chat_server.asked) == ALL + 3


def test_extra_fields_are_added_and_null_leaves_one_out(ask_served, chat_server):
    extra = {"temperature": None, "chat_template_kwargs": {"enable_thinking": False}}
    ask_served(api={"extra": extra, "token_limit": "max_completion_tokens", "image_detail": "high"})
    body = chat_server.asked[0].body
    assert body["chat_template_kwargs"] == {"enable_thinking": False} and "temperature" not in body
    assert body["max_completion_tokens"] == 128 and "max_tokens" not in body
    assert body["messages"][0]["content"][0]["image_url"]["detail"] == "high"


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_requests_run_at_a_time_than_allowed(ask_served, chat_server, limit):
    # the server answers only when as many are there
    chat_server.acts.at_a_time = limit
    ask_served(api={"concurrency": limit}, subset_size=150)
    assert chat_server.most == limit and len(chat_server.asked) == ALL


def test_log_probabilities_give_the_probability_of_an_answer(ask_served, chat_server, logged_answers):
    chat_server.acts.choice = {
        "logprobs": {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}
    }
    row = logged_answers(ask_served(api={"logprobs": True}))["0:0"]
    assert (row["probability"], row["mean_log_probability"]) == (0.2231, -0.75)
    assert chat_server.asked[0].body["logprobs"] is True


def test_cached_answers_are_not_paid_for_again_unless_what_is_sent_changes(ask_served, chat_server, tmp_path):
    store = AnswerStore(uri=(tmp_path / "store").as_uri())

    def asked(out, **changes):
        chat_server.asked.clear()
        ask_served(out, store=store, **changes)
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
    engine = OpenAiEngine(request, Endpoint(chat_server.base_url, MODEL), Clock())
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


def test_the_image_is_read_once_for_all_questions_about_it(ask_served, monkeypatch):
    from tasks.inference import image_transforms

    read = []
    monkeypatch.setattr(image_transforms, "read_image", lambda path: read.append(path) or read_image(path))
    ask_served(subset_size=150)
    assert len(read) == 4
