"""The chat template of a merged model gives the tokens that it was trained on."""

from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.locations import ORACLE

from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.merging.merge import merge_adapter
from tasks.model.encoding import expand_images
from tasks.model.llava.processor_files import save_processor
from tasks.model.loading import load_processor

ADAPTER = ORACLE / "lora" / "tiny-llava-v1.5-lora"
PICTURE = Image.linear_gradient("L").resize((50, 20)).convert("RGB")
TURNS = [("human", "<image>\nIs it rural?"), ("gpt", "rural"), ("human", "How many ships?")]
MESSAGES = [
    {"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "Is it rural?"}]},
    {"role": "assistant", "content": "rural"},
    {"role": "user", "content": "How many ships?"},
]


def fed_by_others(folder: Path, messages: list[dict[str, Any]]) -> Any:
    """The tokens of a dialogue, encoded with transformers alone as in the model card."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    return processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="np"
    )


def assert_fed_alike(folder: Path) -> None:
    processor = load_processor(folder)
    for count in (1, 3):
        seen = fed_by_others(folder, MESSAGES[:count])
        shown = [processor.image_token_id] * processor.image_tokens
        assert seen["input_ids"][0].tolist() == expand_images(processor.encode_prompt(TURNS[:count]), [shown])
        pixels = processor.image_processor(PICTURE, return_tensors="np")["pixel_values"]
        np.testing.assert_array_equal(seen["pixel_values"], pixels)


def test_a_merge_without_any_template_writes_ours(base: Path, adapter: Path, tmp_path: Path) -> None:
    merge_adapter(base, adapter, tmp_path / "out")
    assert_fed_alike(tmp_path / "out")


def test_the_bases_template_is_replaced(base: Path, adapter: Path, tmp_path: Path) -> None:
    (base / "chat_template.jinja").write_text("other")
    write_json(base / "chat_template.json", {"chat_template": "other"})
    merge_adapter(base, adapter, tmp_path / "out")
    assert not (tmp_path / "out" / "chat_template.json").exists()
    assert_fed_alike(tmp_path / "out")


def test_the_template_of_the_checkpoint_is_kept(base: Path, adapter: Path, tmp_path: Path) -> None:
    save_processor(load_processor(base), adapter)
    merge_adapter(base, adapter, tmp_path / "out")
    for name in ("chat_template.jinja", "processor_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (adapter / name).read_bytes()
    assert_fed_alike(tmp_path / "out")


def test_an_unreadable_tokenizer_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    write_json(base / "tokenizer_config.json", {"added_tokens_decoder": []})
    with pytest.raises(ModelError, match=r"tokenizer of .*base cannot be read"):
        merge_adapter(base, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_the_template_with_llamas_tokenizer_gives_the_reference_tokens(tmp_path: Path, legacy: bool) -> None:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    base = copytree(ORACLE / "models" / "tiny-llava-v1.5", tmp_path / "base")
    copytree(ORACLE / "models" / "tiny-clip-vit-56", tmp_path / "tiny-clip-vit-56")
    settings = read_json(base / "tokenizer_config.json")
    write_json(base / "tokenizer_config.json", {**settings, "legacy": legacy})
    merge_adapter(base, ADAPTER, tmp_path / "out")
    assert_fed_alike(tmp_path / "out")
