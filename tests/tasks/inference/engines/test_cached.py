import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from flows.cli import main
from tasks.errors import DataError, ModelError
from tasks.inference.engines.cached import AnswerCache
from tasks.inference.predict import Listener, predict
from tasks.inference.request import AnswerStore
from tasks.manifests import folder_digest
from tasks.model.llava.processor import LlavaProcessor
from tasks.records import Answer, Question
from tasks.storage.local_store import LocalStore
from tasks.storage.object_store import open_store

QUESTIONS = [Question(key=f"{n}:0", record=n, turn=0, image="a.png", turns=(("human", str(n)),)) for n in range(9)]


@pytest.fixture
def ask(request_for, records, tmp_path, tiny_model_dir):
    """Answer the test set with a real model into a new folder; returns the answers and how many had to be computed."""

    def answered(out, **changes):
        model = changes.pop("model", tiny_model_dir)
        digest = changes.pop("model_sha256", None) or folder_digest(model)
        config = {"engine": "transformers", "max_new_tokens": 3, **changes.pop("config", {})}
        request = request_for(
            changes.pop("records", records), out=out, model=model, model_sha256=digest, config=config,
            store=AnswerStore(uri=(tmp_path / "store").as_uri()), **changes,
        )  # fmt: skip
        before = cached_lines(tmp_path / "store")
        predict(request)
        return (request.out / "answers.jsonl").read_bytes(), len(cached_lines(tmp_path / "store")) - len(before)

    return answered


def cached_lines(store):
    """The lines of all shards."""
    return [line for path in store.rglob("*.jsonl") for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_cached_answers_are_not_computed_again(ask, tiny_model_dir, tmp_path):
    first, computed = ask("first")
    assert computed == 7
    # without weights nothing can be computed
    weightless = shutil.copytree(tiny_model_dir, tmp_path / "weightless")
    (weightless / "model.safetensors").unlink()
    same = {"model": weightless, "model_sha256": folder_digest(tiny_model_dir)}
    assert ask("second", **same) == (first, 0)
    assert ask("third", **same, config={"batch_size": 5}, subset_size=1) == (first, 0)
    with pytest.raises(ModelError):
        ask("fourth", **same, config={"cache": False})


def test_a_prompt_that_a_template_refuses_is_reported_with_its_record(ask, monkeypatch):
    encode = LlavaProcessor.encode_prompt

    def refusing(self, turns, images=1):
        if "ship" in turns[-1][1]:
            raise DataError("this template takes no ships")
        return encode(self, turns, images)

    monkeypatch.setattr(LlavaProcessor, "encode_prompt", refusing)
    with pytest.raises(DataError, match=r"(?s)The 5 others are answered.*record DOTA_P1: this template takes no ships"):
        ask("out")


def test_a_change_of_anything_that_decides_an_answer_computes_it_again(ask, records, images, tiny_model_dir, tmp_path):
    assert ask("first")[1] == 7
    other = shutil.copytree(tiny_model_dir, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    assert ask("weights", model=other)[1] == 7
    assert ask("length", config={"max_new_tokens": 4})[1] == 7
    assert ask("type", config={"dtype": "bfloat16", "equality_sample": 2})[1] == 7
    assert ask("sampled", config={"temperature": 1.0})[1] == 7
    assert ask("another seed", config={"temperature": 1.0, "seed": 1})[1] == 7
    assert ask("turned", config={"transform": "rot90"})[1] == 7
    assert ask("turned back", config={"transform": "rot270"})[1] == 7
    assert ask("history", config={"history": "reference"})[1] == 3
    records[1]["conversations"][2]["value"] += " Really?"
    assert ask("prompt", records=records)[1] == 1
    shutil.copy(images / records[0]["image"], images / records[2]["image"])
    assert ask("image", records=records)[1] == 1


def test_nothing_is_cached_if_the_cache_is_off(ask, tmp_path):
    assert ask("first", config={"cache": False})[1] == 0
    assert not (tmp_path / "store").exists()


def test_a_failing_store_is_reported_and_costs_no_answer(request_for, records, tmp_path):
    (tmp_path / "store").write_text("a file, no store")
    lines = []
    request = request_for(records, store=AnswerStore(uri=(tmp_path / "store").as_uri()))
    assert predict(request, Listener(log=lines.append)).answers == 7
    assert any("cannot be read" in line for line in lines) and any("not kept" in line for line in lines)


@pytest.fixture
def bucket(monkeypatch, tmp_path, s3_address):
    """A prefix in a bucket of an S3 server, which child processes find too."""
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_ENDPOINT_URL": s3_address}.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="kept")
    return f"s3://kept/{tmp_path.name}"


@pytest.fixture(params=["folder", "bucket"])
def store_uri(request, tmp_path):
    """The URI of a store, in a folder or a bucket."""
    return request.getfixturevalue("bucket") if request.param == "bucket" else (tmp_path / "store").as_uri()


def cache_at(store):
    return AnswerCache(store, {"model": "m"}, lambda question: question.turns[0][1], pytest.fail)


def test_simultaneous_writers_lose_no_answer(store_uri):
    caches = [cache_at(open_store(store_uri)) for _ in QUESTIONS]

    def write(number):
        caches[number].add(QUESTIONS, [Answer(key=f"{number}:0", text=f"text {number}", tokens=1)])
        caches[number].send()

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(write, range(9)))
    found = cache_at(open_store(store_uri)).find(QUESTIONS)
    assert {answer.key: answer.text for answer in found} == {f"{n}:0": f"text {n}" for n in range(9)}


def test_two_processes_cache_all_answers_in_a_bucket_and_a_third_asks_nothing(
    bucket, images, records, tmp_path, capsys
):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")

    def arguments(name, some):
        (tmp_path / f"{name}.json").write_text(json.dumps(some))
        places = {"model": "model", "data": f"{name}.json", "images": images, "out": name}
        return [
            *("predict", "--engine", "echo", "--cache", bucket),
            *(part for option, place in places.items() for part in (f"--{option}", str(tmp_path / place))),
        ]

    # both ask some of the questions
    commands = [arguments("first", records[:3]), arguments("second", records[1:])]
    children = [subprocess.Popen([sys.executable, "-m", "flows.cli", *one], env=os.environ) for one in commands]
    assert [child.wait(timeout=120) for child in children] == [0, 0]
    store = open_store(bucket)
    shards = [key for key in store.sizes_below("") if key.endswith(".jsonl")]
    contents = [json.loads(line)["content"] for key in shards for line in store.read_text(key).split("\n") if line]
    assert len(set(contents)) == 7
    assert main(arguments("all", records)) == 0
    # nothing new to cache
    assert [key for key in store.sizes_below("") if key.endswith(".jsonl")] == shards
    assert "7 of 7" in (printed := capsys.readouterr().err) and "kept" not in printed


def test_only_a_damaged_line_is_missing_from_the_cache(tmp_path):
    cache = cache_at(LocalStore(tmp_path))
    cache.add(QUESTIONS, [Answer(key=f"{n}:0", text=f"text\u2028{n}", tokens=1) for n in range(3)])
    cache.send()
    (shard,) = tmp_path.rglob("*.jsonl")
    shard.write_text(shard.read_text(encoding="utf-8").replace("text\u20281", "test\u20281"), encoding="utf-8")
    assert [answer.key for answer in cache_at(LocalStore(tmp_path)).find(QUESTIONS)] == ["0:0", "2:0"]


def test_the_context_is_written_next_to_the_answers(tmp_path):
    cache_at(LocalStore(tmp_path))
    (context,) = tmp_path.rglob("context.json")
    assert json.loads(context.read_text())["model"] == "m"
