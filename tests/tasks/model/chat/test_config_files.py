"""Adapters of the generic families merge as with PEFT, into directories with the hub's tensor names."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText

from tasks.errors import ModelError
from tasks.files import read_json
from tasks.merging.merge import merge_adapter
from tasks.model.chat.config_files import config_files
from tasks.model.families import family_of
from tasks.model.inputs import batch_of, prompt_row
from tasks.model.loading import load_model, load_processor
from tasks.model.weights import read_tensors


@pytest.fixture
def tuned(folder: Path, tmp_path: Path) -> tuple[Path, Any]:
    """An adapter with random LoRA matrices and its own projector, and PEFT's merged model."""
    family = family_of(folder)
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT asks transformers for a name that its next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(4)
        model = family.load_base(folder, torch.float32)
        config = LoraConfig(r=4, target_modules=family.lora_targets(model), init_lora_weights=False)
        adapted = get_peft_model(model, config)
        adapted.save_pretrained(tmp_path / "checkpoint-1")
        projector = {
            name: value.data.normal_(std=0.1)
            for name, value in adapted.named_parameters()
            if family.names.is_projector(name)
        }
        torch.save(
            {name: value.clone() for name, value in projector.items()},
            tmp_path / "checkpoint-1" / "non_lora_trainables.bin",
        )
    family.load_processor(folder).save(tmp_path / "checkpoint-1")
    return tmp_path / "checkpoint-1", adapted.merge_and_unload().eval()


@torch.no_grad()
def test_merging_equals_peft(
    folder: Path, tuned: tuple[Path, Any], tmp_path: Path, pictures: list[Image.Image]
) -> None:
    checkpoint, expected = tuned
    out = tmp_path / "merged"
    merge_adapter(folder, checkpoint, out)
    family = family_of(out)
    merged = AutoModelForImageTextToText.from_pretrained(out, dtype=torch.float32).eval()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(merged.state_dict()[name], value, atol=1e-6, rtol=1e-5, msg=name)
    written = read_tensors(out / "model.safetensors")
    assert all(family.names.published(family.names.canonical(name)) == name for name in written)
    processor = load_processor(out)
    ids = processor.encode_prompt([("human", "<image>\nIs there a road?")])
    inputs = batch_of([prompt_row(ids, [processor.prepare(pictures[1])])], processor)
    applied = load_model(folder, checkpoint, "float32")
    for model in (family.load_base(out, torch.float32), applied.model):
        torch.testing.assert_close(model(**inputs).logits, expected(**inputs).logits, atol=1e-5, rtol=1e-5)
    assert read_json(out / "config.json")["model_type"] == read_json(folder / "config.json")["model_type"]


def test_a_processors_files_come_from_one_directory(tiny_family_dir: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny_family_dir("qwen2_5_vl")
    family = family_of(folder)
    stored = family.read_stored(folder)
    (tmp_path / "alone").mkdir()
    found = config_files(stored, tmp_path / "alone")
    assert found["processor_config.json"].parent == found["chat_template.jinja"].parent == folder
    family.load_processor(folder).save(tmp_path / "trained")
    found = config_files(stored, tmp_path / "trained")
    assert found["processor_config.json"].parent == found["chat_template.jinja"].parent == tmp_path / "trained"
    assert found["tokenizer.json"].parent == folder


def test_a_missing_processor_is_named(tiny_family_dir: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny_family_dir("qwen2_5_vl")
    stored = family_of(folder).read_stored(folder)
    moved = stored.__class__(
        tmp_path, *(getattr(stored, name) for name in ("names", "layout", "written", "config", "tensors", "ties"))
    )
    with pytest.raises(ModelError, match=r"^Neither \S+ nor \S+ has tokenizer_config\.json: copy it from the base"):
        config_files(moved, tmp_path)
