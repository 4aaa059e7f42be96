"""The toy model is the real architecture, the same for the same seed, and needs no torchvision."""

from pathlib import Path

import pytest
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from tasks.files import sha256_of
from tasks.model.llava.tiny import create_tiny
from tasks.model.loading import load_base, load_processor

TEXTS = ["a river and a bridge", "two planes"]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        create_tiny(tmp_path / name, TEXTS, seed, image_size=32)
    first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert {name for name in first if first[name] != other[name]} == {"model.safetensors"}


def test_creating_a_model_does_not_change_the_global_random_state(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    create_tiny(tmp_path / "model", TEXTS, seed=1, image_size=32)
    assert torch.equal(torch.rand(3), expected)


def test_the_toy_has_the_parts_of_the_real_model(tiny_model_dir: Path) -> None:
    import torch

    model = load_base(tiny_model_dir, torch.float32)
    names = {name for name, _ in model.named_parameters()}
    assert {f"model.multi_modal_projector.linear_{n}.{kind}" for n in (1, 2) for kind in ("weight", "bias")} <= names
    assert "model.language_model.layers.0.mlp.gate_proj.weight" in names
    assert any(name.startswith("model.vision_tower.") for name in names)
    assert model.config.vision_feature_layer == -2


@pytest.mark.parametrize("text", ["Größe 10 °C", "漢字 🚢", "tab\tand  two spaces", "\u2028"])
def test_the_toys_tokenizer_encodes_any_text(tiny_model_dir: Path, text: str) -> None:
    tokenizer = load_processor(tiny_model_dir).tokenizer
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids) == text


def test_images_are_read_by_pil_even_where_torchvision_is_installed(tiny_model_dir: Path) -> None:
    # transformers itself imports torchvision where it finds it; none of our files does (tests/test_imports.py)
    assert type(load_processor(tiny_model_dir).image_processor) is LlavaImageProcessorPil
