"""Settings beside the weights: damaged files are named, and both versions of transformers read what is written."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.cli import main
from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.model.configuration import make_portable, portable_config, portable_tokenizer
from tasks.model.llava.model_config import require_model_config


@pytest.mark.parametrize("content", ["[]", "{", '"text"', "\udcff"])
def test_a_damaged_generation_config_is_refused(model_dir: Path, content: str) -> None:
    file = model_dir / "generation_config.json"
    file.write_text(content, errors="surrogateescape")
    with pytest.raises(ModelError, match=f"{file} (is damaged .*|holds no settings): copy the model again"):
        require_model_config(model_dir)


def test_generation_config_is_optional(model_dir: Path) -> None:
    (model_dir / "generation_config.json").unlink()
    assert require_model_config(model_dir)


def test_predict_exits_with_2_and_names_the_damaged_file(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    write_json(tmp_path / "test.json", [{"id": "1", "image": "a.png", "conversations": turns}])
    write_json(model_dir / "generation_config.json", [])
    paths = {"model": model_dir, "data": tmp_path / "test.json", "images": tmp_path, "out": tmp_path / "out"}
    assert main(["predict", *(word for name, path in paths.items() for word in (f"--{name}", str(path)))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == f"error: {model_dir}/generation_config.json holds no settings: copy the model again."
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("written", "portable"),
    [
        ({"tokenizer_class": "TokenizersBackend"}, {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ({"tokenizer_class": "LlamaTokenizer"}, {"tokenizer_class": "LlamaTokenizer"}),
        ({"extra_special_tokens": ["<a>"]}, {"additional_special_tokens": ["<a>"]}),
        ({"extra_special_tokens": []}, {}),
        (
            {"extra_special_tokens": ["<a>", "<b>"], "additional_special_tokens": ["<b>"]},
            {"additional_special_tokens": ["<b>", "<a>"]},
        ),
        ({"extra_special_tokens": {"image_token": "<i>"}}, {"extra_special_tokens": {"image_token": "<i>"}}),
        ({"model_specific_special_tokens": {"image_token": "<i>"}}, {"extra_special_tokens": {"image_token": "<i>"}}),
        (
            {"extra_special_tokens": ["<a>"], "model_specific_special_tokens": {"image_token": "<i>"}},
            {"additional_special_tokens": ["<a>"], "extra_special_tokens": {"image_token": "<i>"}},
        ),
        ({"additional_special_tokens": ["<a>"]}, {"additional_special_tokens": ["<a>"]}),
    ],
)
def test_special_tokens_are_written_under_the_keys_of_transformers_4(
    written: dict[str, Any], portable: dict[str, Any]
) -> None:
    assert portable_tokenizer(written) == portable
    assert portable_tokenizer(portable) == portable


@pytest.mark.parametrize(
    ("rope", "older"),
    [
        ({"rope_type": "default", "rope_theta": 5e5}, {"rope_theta": 5e5}),
        (
            {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4},
            {"rope_theta": 1e4, "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        ),
        ({"rope_type": "dynamic", "factor": 4.0}, {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}),
    ],
)
def test_rope_settings_are_also_written_for_transformers_4(rope: dict[str, Any], older: dict[str, Any]) -> None:
    config = {"text_config": {"rope_parameters": rope}}
    assert portable_config(config) == {"text_config": {"rope_parameters": rope, **older}}
    assert portable_config(portable_config(config)) == portable_config(config)


def test_files_that_both_versions_read_alike_keep_their_bytes(tmp_path: Path) -> None:
    for name, text in (("config.json", '{ "text_config": {} }'), ("tokenizer_config.json", '{"a":1}')):
        (tmp_path / name).write_text(text)
    write_json(tmp_path / "special_tokens_map.json", {"extra_special_tokens": ["<a>"]})
    make_portable(tmp_path)
    assert (tmp_path / "config.json").read_text() == '{ "text_config": {} }'
    assert (tmp_path / "tokenizer_config.json").read_text() == '{"a":1}'
    assert read_json(tmp_path / "special_tokens_map.json") == {"additional_special_tokens": ["<a>"]}
