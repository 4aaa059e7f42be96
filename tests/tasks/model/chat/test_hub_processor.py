"""Missing and damaged processor files, and missing packages, become one sentence that names them."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import transformers
from PIL import Image
from support.tiny_processors import MEMBERS, Pair, tiny_processor
from transformers.models.smolvlm import processing_smolvlm

from tasks.errors import ModelError
from tasks.model.chat.hub_processor import image_only, video_settings
from tasks.model.chat.processor import load_chat_processor

DAMAGED = {"nothing": "", "cut off": '{"a": ', "a list": "[]", "half a character": '{"a": "\\ud800"}'}


@pytest.fixture
def model(pair_of: Callable[[str], Pair], tmp_path: Path) -> Path:
    """A writable copy of Qwen2.5-VL's files."""
    return copytree(pair_of("qwen2_5_vl").folder, tmp_path / "model")


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def change_images(folder: Path, **values: Any) -> None:
    settings = json.loads((folder / "processor_config.json").read_text())
    settings["image_processor"] |= values
    (folder / "processor_config.json").write_text(json.dumps(settings))


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_chat_processor(folder)
    message = str(caught.value)
    assert str(folder) in message and "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("name", ["processor_config.json", "tokenizer_config.json", "tokenizer.json"])
def test_damaged_files(name: str, text: str, model: Path) -> None:
    (model / name).write_text(text)
    message = refused(model)
    assert name in message or "tokenizer" in message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("processor_config.json", "lacks preprocessor_config.json"),
        ("tokenizer_config.json", "lacks tokenizer_config.json"),
        ("chat_template.jinja", "lacks a chat template (chat_template.jinja)"),
    ],
)
def test_missing_files(name: str, said: str, model: Path) -> None:
    (model / name).unlink()
    assert said in refused(model)


def test_missing_tokens(model: Path) -> None:
    (model / "tokenizer.json").unlink()
    assert "tokenizer" in refused(model)


@pytest.mark.parametrize("template", ["{% for", "{{ messages[0].content[7].text }}", "", "fixed text"])
def test_templates_that_cannot_be_rendered(template: str, model: Path) -> None:
    (model / "chat_template.jinja").write_text(template)
    assert "chat template" in refused(model)


@pytest.mark.parametrize(
    "values",
    [
        {"size": {"shortest_edge": 10**12, "longest_edge": 10**12}},
        {"size": {"shortest_edge": "a", "longest_edge": 1}},
        {"size": {"shortest_edge": 0, "longest_edge": 0}},
        {"patch_size": 0},
        {"image_std": [0, 0, 0]},
        {"image_mean": [1]},
        {"image_processor_type": "NoSuchImageProcessor"},
    ],
    ids=str,
)
def test_damaged_image_settings(values: dict[str, Any], model: Path) -> None:
    change_images(model, **values)
    assert "image handling" in refused(model)


def test_an_unknown_processor_class(model: Path) -> None:
    change(model / "processor_config.json", processor_class="AutoTokenizer")
    assert "names 'AutoTokenizer' as its processor" in refused(model)


def test_the_class_is_found_by_the_model_type(model: Path) -> None:
    token = load_chat_processor(model).image_token_id
    for name in ("processor_config.json", "tokenizer_config.json"):
        settings = json.loads((model / name).read_text())
        settings.pop("processor_class", None)
        (model / name).write_text(json.dumps(settings))
    (model / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl", "image_token_id": token}))
    assert type(load_chat_processor(model).hub).__name__ == "Qwen2_5_VLProcessor"


def test_tokens_beyond_the_model(model: Path) -> None:
    (model / "config.json").write_text(json.dumps({"text_config": {"vocab_size": 310}}))
    assert "beyond the model's 310" in refused(model)


def test_a_missing_package_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object, **__: object) -> None:
        raise ImportError("\nAny requires the SentencePiece library but it was not found in your environment.")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", without)
    assert "needs the package sentencepiece, which is not installed" in refused(model)

    def lacking(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'tiktoken'", name="tiktoken")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lacking)
    assert "needs the package tiktoken" in refused(model)


@pytest.mark.parametrize("member", MEMBERS)
def test_no_processor_has_a_part_for_videos(member: str) -> None:
    made = image_only(MEMBERS[member].processor)
    assert made.__name__ == MEMBERS[member].processor
    assert made.get_attributes() == ["image_processor", "tokenizer"]


def test_video_settings_are_kept(model: Path, tmp_path: Path) -> None:
    assert video_settings(model) is None
    kept = {"video_processor_type": "Qwen2VLVideoProcessor", "fps": 2}
    change(model / "processor_config.json", video_processor=kept)
    load_chat_processor(model).save(tmp_path / "saved")
    assert video_settings(tmp_path / "saved") == kept
    load_chat_processor(tmp_path / "saved").save(tmp_path / "again")
    assert video_settings(tmp_path / "again") == kept


def test_smolvlm_handles_images_as_its_own_class(
    pair_of: Callable[[str], Pair], photos: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    # its own class wants the package for videos even where there are none, and a part for videos
    monkeypatch.setattr(processing_smolvlm, "num2words", str)
    monkeypatch.setattr(
        processing_smolvlm.SmolVLMProcessor, "get_attributes", classmethod(lambda cls: ["image_processor", "tokenizer"])
    )
    hub = pair_of("smolvlm").ours.hub
    own = processing_smolvlm.SmolVLMProcessor(
        hub.image_processor, hub.tokenizer, None, image_seq_len=hub.image_seq_len, chat_template=hub.chat_template
    )
    texts = ["<image>A<end_of_utterance>", "<image><image>B"]
    for given in (photos[:1], photos[1:]):
        text = texts[len(given) - 1]
        ours, theirs = (each(text=text, images=given) for each in (hub, own))
        assert ours["input_ids"] == theirs["input_ids"]
        assert (ours["pixel_values"] == theirs["pixel_values"]).all()


def test_a_template_that_leaves_images_out(tmp_path: Path) -> None:
    own = tiny_processor("qwen3_vl", tmp_path)
    own.chat_template = own.chat_template.replace("<|image_pad|>", "")
    own.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"The chat template of .* writes 0 images for 1"):
        load_chat_processor(tmp_path)


def test_an_adapter_says_how_images_are_prepared(
    pair_of: Callable[[str], Pair], photos: list[Image.Image], tmp_path: Path
) -> None:
    base = pair_of("qwen2_5_vl")
    base.ours.save(tmp_path)
    smaller = base.ours.hub.image_processor.to_dict() | {"size": {"shortest_edge": 784, "longest_edge": 3136}}
    for name in ("preprocessor_config.json", "processor_config.json"):
        (tmp_path / name).unlink()
    type(base.ours.hub.image_processor)(**{"size": smaller["size"], "patch_size": 14}).save_pretrained(tmp_path)
    ours = load_chat_processor(base.folder, adapter=tmp_path)
    assert ours.count_tokens(photos[0].size) < base.ours.count_tokens(photos[0].size)
    assert ours.count_tokens(photos[0].size) == len(ours.prepare(photos[0]).token_ids)
