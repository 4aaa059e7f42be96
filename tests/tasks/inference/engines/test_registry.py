"""The registry of engines: what reads it, what an entry requires, and an engine from outside the package."""

import json
from importlib import import_module

import pytest
from PIL import Image
from pydantic import ValidationError
from support.locations import REPO

from flows.cli import build_parser, main
from tasks.errors import ConfigError
from tasks.inference.engines.loading import require_engine
from tasks.inference.engines.registry import ENGINES, EngineEntry
from tasks.inference.predict import predict
from tasks.settings import InferenceConfig

ANSWERING_PAGE = REPO / "docs" / "answering.md"
NOT_INSTALLED = "a_package_that_nobody_has"
TOY_ENGINE = """
from tasks.inference.engines.base import PreparedEngine, group_by_image, plan_batches
from tasks.records import Answer

def prepare(request):
    return PreparedEngine("yes 1", YesEngine)

class YesEngine:
    def answer(self, questions):
        for batch in plan_batches(group_by_image(questions), lambda images, count: count <= 64):
            yield [self.answer_alone(question) for group in batch for question in group]

    def answer_alone(self, question):
        return Answer(key=question.key, text="yes", tokens=1)
"""


@pytest.fixture
def toy_engine(tmp_path, monkeypatch):
    """An engine that says yes: one file outside the package, and one entry."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "yes_engine.py").write_text(TOY_ENGINE)
    monkeypatch.syspath_prepend(tmp_path / "toy")
    monkeypatch.setitem(
        ENGINES, "yes", EngineEntry("yes_engine", "says yes to every question", exact="always", needs_model=False)
    )


def test_an_engine_from_outside_needs_one_file_and_one_entry(toy_engine, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    Image.new("RGB", (20, 20)).save(tmp_path / "1.png")
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}]
    (tmp_path / "test.json").write_text(json.dumps([{"id": "1", "image": "1.png", "conversations": turns}]))
    paths = {"model": "model", "data": "test.json", "images": ".", "out": "out"}
    arguments = [part for option, path in paths.items() for part in (f"--{option}", str(tmp_path / path))]
    assert main(["predict", *arguments, "--engine", "yes"]) == 0
    (record,) = json.loads((tmp_path / "out" / "final.json").read_text())
    assert record["conversations"] == [*turns, {"from": "gpt", "value": "yes"}]
    assert json.loads((tmp_path / "out" / "MANIFEST.json").read_text())["details"]["engine"] == "yes 1"


@pytest.mark.parametrize("name", ENGINES)
def test_the_module_of_an_entry_prepares_the_engine(name):
    assert callable(import_module(ENGINES[name].module).prepare)


def test_settings_and_their_form_take_the_registered_engines(toy_engine):
    assert InferenceConfig(engine="yes").engine == "yes"
    assert InferenceConfig.model_json_schema()["properties"]["engine"]["enum"] == list(ENGINES)
    with pytest.raises(ValidationError, match="'transformers', 'vllm', 'openai', 'echo' or 'yes'"):
        InferenceConfig(engine="no")


def test_the_command_line_takes_the_registered_engines(toy_engine):
    required = ["--model", "m", "--data", "d", "--images", "i", "--out", "o"]
    assert build_parser().parse_args(["predict", *required, "--engine", "yes"]).engine == "yes"


def test_the_page_on_answering_lists_the_registered_engines():
    rows = [f"| `{name}` | {entry.summary} | {entry.needs} | {entry.exact} |" for name, entry in ENGINES.items()]
    assert "\n".join(rows) + "\n\n" in ANSWERING_PAGE.read_text(encoding="utf-8")


def test_an_engine_without_its_package_is_refused_before_anything_is_written(
    request_for, records, tmp_path, monkeypatch
):
    monkeypatch.setitem(ENGINES, "far", EngineEntry("far", "", package=NOT_INSTALLED))
    with pytest.raises(ConfigError, match=rf"pip install {NOT_INSTALLED}.*inference\.engine"):
        predict(request_for(records, config={"engine": "far"}))
    assert not (tmp_path / "out").exists()


def test_an_engine_that_takes_merged_models_refuses_an_adapter(request_for, records, tmp_path, monkeypatch):
    (tmp_path / "adapter").mkdir()
    monkeypatch.setitem(ENGINES, "merged", EngineEntry("merged", "", takes_adapters=False))
    with pytest.raises(ConfigError, match="rsvlm merge"):
        predict(request_for(records, config={"engine": "merged"}, adapter=tmp_path / "adapter"))


def test_an_engine_without_the_original_layout_refuses_such_a_model(tmp_path, monkeypatch):
    config = {"model_type": "llava_llama", "mm_projector_type": "mlp2x_gelu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setitem(ENGINES, "new", EngineEntry("new", "", layouts=("transformers",)))
    require_engine(InferenceConfig(engine="transformers"), tmp_path)
    with pytest.raises(ConfigError, match="original LLaVA layout"):
        require_engine(InferenceConfig(engine="new"), tmp_path)


def test_a_model_without_dialogues_is_not_asked_with_earlier_turns(tiny_family_dir):
    for member, takes in (("paligemma", False), ("qwen2_5_vl", True)):
        require_engine(InferenceConfig(), tiny_family_dir(member))
        for history in ("predicted", "reference"):
            asked = InferenceConfig(history=history)
            if takes:
                require_engine(asked, tiny_family_dir(member))
            else:
                with pytest.raises(ConfigError, match=r"is a PaliGemma, .* set it to independent"):
                    require_engine(asked, tiny_family_dir(member))


def test_a_base_with_an_adapter_is_asked_by_an_engine_that_takes_adapters():
    assert InferenceConfig(engine="vllm").adapter_engine == "transformers"
    assert InferenceConfig(engine="echo").adapter_engine == "echo"


@pytest.mark.parametrize(("dtype", "exact"), [("float32", {"transformers", "echo"}), ("bfloat16", {"echo"})])
def test_exactness_depends_on_the_number_type(dtype, exact):
    assert {name for name in ENGINES if ENGINES[name].is_exact(dtype)} == exact
