"""Settings are said as transformers 4 and 5 both read them, and left alone where they are."""

from pathlib import Path
from typing import Any

import pytest

from tasks.files import read_json, write_json
from tasks.model.portable import make_portable, portable_config, portable_tokenizer


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
def test_a_tokenizers_special_tokens_are_told_as_a_list_and_by_name(
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
def test_positions_are_said_in_both_ways(rope: dict[str, Any], older: dict[str, Any]) -> None:
    config = {"text_config": {"rope_parameters": rope}}
    assert portable_config(config) == {"text_config": {"rope_parameters": rope, **older}}
    assert portable_config(portable_config(config)) == portable_config(config)


def test_files_that_both_read_alike_keep_their_bytes(tmp_path: Path) -> None:
    for name, text in (("config.json", '{ "text_config": {} }'), ("tokenizer_config.json", '{"a":1}')):
        (tmp_path / name).write_text(text)
    write_json(tmp_path / "special_tokens_map.json", {"extra_special_tokens": ["<a>"]})
    make_portable(tmp_path)
    assert (tmp_path / "config.json").read_text() == '{ "text_config": {} }'
    assert (tmp_path / "tokenizer_config.json").read_text() == '{"a":1}'
    assert read_json(tmp_path / "special_tokens_map.json") == {"additional_special_tokens": ["<a>"]}
