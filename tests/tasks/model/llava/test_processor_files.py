"""A saved model contains its chat template and its image settings."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.files import read_json
from tasks.model.images import pixels_of
from tasks.model.llava.processor import LlavaProcessor, load_processor
from tasks.model.llava.processor_files import save_processor
from tasks.model.llava.prompt import round_text


@pytest.fixture
def saved(tiny_model_dir: Path, tmp_path: Path) -> Path:
    folder = copytree(tiny_model_dir, tmp_path / "model")
    save_processor(load_processor(folder), folder)
    return folder


def theirs(folder: Path) -> Any:
    """The processor as the model card loads it."""
    from transformers import LlavaProcessor

    return LlavaProcessor.from_pretrained(folder, backend="pil")


def test_the_chat_template_gives_our_prompt_tokens(saved: Path) -> None:
    processor = theirs(saved)
    said = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is it rural?"}]},
        {"role": "assistant", "content": "rural"},
        {"role": "user", "content": "How many ships?"},
    ]
    prompt = processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    first = round_text(0, "<image>\nIs it rural?", "rural")
    assert prompt == f"<s>{first}</s>{round_text(1, 'How many ships?')}"


def test_transformers_processor_gives_our_pixels_and_image_tokens(saved: Path) -> None:
    processor, image = load_processor(saved), Image.linear_gradient("L").resize((50, 20)).convert("RGB")
    seen = theirs(saved)(images=image, text="USER: <image>\nRural?", return_tensors="np")
    np.testing.assert_array_equal(seen["pixel_values"][0], pixels_of(image, processor.image_processor))
    assert (seen["input_ids"] == processor.image_token_id).sum() == processor.image_tokens


@pytest.mark.parametrize("pads", [True, False])
def test_padding_is_saved_alike_in_both_files(saved: Path, pads: bool) -> None:
    processor = load_processor(saved)
    processor.image_processor.do_pad = pads
    save_processor(processor, saved)
    assert load_processor(saved).image_processor.do_pad is pads
    assert read_json(saved / "preprocessor_config.json")["do_pad"] is pads
    assert read_json(saved / "processor_config.json")["image_processor"]["do_pad"] is pads


def test_using_the_class_token_adds_one_image_token(saved: Path) -> None:
    processor: LlavaProcessor = replace(load_processor(saved), image_tokens=65)
    save_processor(processor, saved)
    seen = theirs(saved)(images=Image.new("RGB", (9, 9)), text="USER: <image>\nRural?", return_tensors="np")
    assert (seen["input_ids"] == processor.image_token_id).sum() == 65
