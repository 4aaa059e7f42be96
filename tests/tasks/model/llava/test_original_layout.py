"""Original LLaVA directories load unconverted: same logits, same adapters, one sentence if it fails."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.changed_files import change_json
from support.files import copy_writable
from support.locations import ORACLE

from tasks.errors import ModelError
from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, expand_images
from tasks.model.llava.model_config import require_model_config
from tasks.model.llava.tensor_names import canonical_name
from tasks.model.loading import LoadedModel, load_base, load_model, load_processor

ORIGINAL, TOWER = ORACLE / "models" / "tiny-llava-v1.5", ORACLE / "models" / "tiny-clip-vit-56"
ADAPTER = ORACLE / "lora" / "tiny-llava-v1.5-lora"
pytestmark = pytest.mark.skipif(not ORACLE.is_dir(), reason="golden values not present")


@pytest.fixture(scope="module")
def original() -> LoadedModel:
    return load_model(ORIGINAL, dtype="float32")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Writable copies of model and tower, side by side."""
    copytree(TOWER, tmp_path / TOWER.name, copy_function=copy_writable)
    return copytree(ORIGINAL, tmp_path / "any-name", copy_function=copy_writable)


@pytest.fixture(scope="module")
def forward(original: LoadedModel) -> SimpleNamespace:
    """Our forward pass on the reference's batch, and the reference's values."""
    golden = np.load(ORACLE / "forward.npz")
    rows = [ids[mask] for ids, mask in zip(golden["input_ids"], golden["attention_mask"], strict=True)]
    shown = [original.processor.image_token_id] * original.processor.image_tokens
    ids = [expand_images(row.tolist(), [shown]) for row in rows]
    longest = max(map(len, ids))
    pixels = torch.from_numpy(golden["images"])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    with torch.no_grad():
        output = original.model(
            input_ids=torch.tensor([row + [0] * (longest - len(row)) for row in ids]),
            pixel_values=pixels,
            attention_mask=mask,
            output_hidden_states=True,
        )
        projected = torch.stack(list(original.model.get_image_features(pixel_values=pixels).pooler_output))
    return SimpleNamespace(golden=golden, output=output, projected=projected, mask=mask.bool())


def close(found: torch.Tensor, golden: np.ndarray) -> None:
    torch.testing.assert_close(found, torch.from_numpy(golden), atol=1e-4, rtol=0)


def test_projected_features_equal_the_reference(forward: SimpleNamespace) -> None:
    close(forward.projected, forward.golden["projected_features"])


@pytest.mark.parametrize(("layer", "name"), [(1, "hidden_1"), (2, "hidden_2"), (3, "last_hidden")])
def test_hidden_states_equal_the_reference(forward: SimpleNamespace, layer: int, name: str) -> None:
    close(forward.output.hidden_states[layer][forward.mask], forward.golden[name][forward.mask.numpy()])


def test_logits_equal_the_reference(forward: SimpleNamespace) -> None:
    golden, logits = forward.golden, forward.output.logits
    assert logits.shape[-1] == 32000
    columns = logits[:, :, torch.from_numpy(golden["vocab_columns"])]
    close(columns[forward.mask], golden["logits_columns"][forward.mask.numpy()])
    last = torch.from_numpy(golden["last_supervised_minus1"])
    close(logits[torch.arange(len(last)), last], golden["logits_full_at_last"])


def test_loss_equals_the_reference(forward: SimpleNamespace) -> None:
    labels = torch.from_numpy(forward.golden["expanded_labels"])
    loss = torch.nn.functional.cross_entropy(
        forward.output.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORE_INDEX
    )
    assert abs(float(loss) - float(forward.golden["loss"])) < 1e-4


def test_an_original_adapter_changes_only_the_language_model() -> None:
    state = load_model(ORIGINAL, ADAPTER, "float32").model.state_dict()
    golden = load_file(ORACLE / "lora" / "final.safetensors")
    assert sum("lora_" in name for name in state) == 2 * 7 * 3
    for name, value in golden.items():
        # PEFT's module tree has the adapter's name within
        ours = re.sub(r"(lora_[AB])(\.default)?\.", r"\1.default.", canonical_name(name))
        assert torch.equal(state[f"base_model.model.{ours}"], value), name


def test_an_adapter_of_the_original_fits_the_same_base_in_transformers_layout(
    original: LoadedModel, tmp_path: Path
) -> None:
    from tasks.model.llava.processor_files import save_processor

    original.model.save_pretrained(tmp_path / "base")
    save_processor(original.processor, tmp_path / "base")
    found = load_model(tmp_path / "base", ADAPTER, "float32").model.state_dict()
    expected = load_model(ORIGINAL, ADAPTER, "float32").model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_adapter_in_a_torch_file_is_read(tmp_path: Path) -> None:
    adapter = copytree(ADAPTER, tmp_path / "adapter", copy_function=copy_writable)
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()
    found, expected = (load_model(ORIGINAL, path, "float32").model.state_dict() for path in (adapter, ADAPTER))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_saved_model_loads_with_plain_transformers(original: LoadedModel, tmp_path: Path) -> None:
    from transformers import LlavaForConditionalGeneration

    original.model.save_pretrained(tmp_path)
    again = LlavaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.float32)
    assert all(torch.equal(value, original.model.state_dict()[name]) for name, value in again.state_dict().items())
    assert again.config.image_token_id == original.processor.image_token_id


def test_weights_in_safetensors_equal_those_in_torch_files(copied: Path, original: LoadedModel) -> None:
    weights: dict[str, Any] = {}
    for file in copied.glob("pytorch_model-*.bin"):
        weights |= torch.load(file, weights_only=True)
        file.unlink()
    (copied / "pytorch_model.bin.index.json").unlink()
    save_file(weights, copied / "model.safetensors")
    found = load_base(copied, torch.float32).state_dict()
    assert all(torch.equal(value, original.model.state_dict()[name]) for name, value in found.items())


def test_a_tower_in_the_models_shards_overrides_the_published_one(copied: Path) -> None:
    shard = copied / "pytorch_model-00002-of-00002.bin"
    tower = {f"model.vision_tower.vision_tower.{n}": v + 1 for n, v in load_file(TOWER / "model.safetensors").items()}
    torch.save(torch.load(shard, weights_only=True) | tower, shard)
    found = load_base(copied, torch.float32).state_dict()
    for name, value in tower.items():
        assert torch.equal(found[canonical_name(name)], value)


def test_the_tower_is_found_in_or_next_to_the_model_or_by_its_path(copied: Path, tmp_path: Path) -> None:
    beside = tmp_path / TOWER.name
    change_json(copied / "config.json", mm_vision_tower=f"somebody/{TOWER.name}")
    assert require_model_config(copied)["vision_config"]["image_size"] == 56
    beside.rename(copied / "tower")
    change_json(copied / "config.json", mm_vision_tower="tower")
    assert require_model_config(copied)["vision_config"]["image_size"] == 56
    (copied / "tower").rename(tmp_path / "elsewhere")
    change_json(copied / "config.json", mm_vision_tower=str(tmp_path / "elsewhere"))
    assert require_model_config(copied)["vision_config"]["image_size"] == 56


def test_the_text_tower_of_a_published_clip_is_ignored(copied: Path, tmp_path: Path, original: LoadedModel) -> None:
    tower = tmp_path / TOWER.name
    config = json.loads((tower / "config.json").read_text())
    (tower / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": config}))
    weights = load_file(tower / "model.safetensors")
    text = {"text_model.embeddings.token_embedding.weight": torch.zeros(3, 3), "logit_scale": torch.zeros(1)}
    save_file(
        weights | text | {"vision_model.embeddings.position_ids": torch.zeros(1, 17)}, tower / "model.safetensors"
    )
    found = load_base(copied, torch.float32).state_dict()
    assert found.keys() == original.model.state_dict().keys()


def without_tower(folder: Path) -> None:
    (folder.parent / TOWER.name).rename(folder.parent / "moved")


def cut_shard(folder: Path) -> None:
    file = folder / "pytorch_model-00001-of-00002.bin"
    file.write_bytes(file.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (without_tower, "The vision tower 'tiny-clip-vit-56' of .* is not on this machine: put its directory next to"),
        (
            lambda folder: change_json(folder / "config.json", mm_projector_type="linear"),
            "mm_projector_type = 'linear', which is",
        ),
        (
            lambda folder: change_json(folder / "config.json", image_aspect_ratio="anyres"),
            "image_aspect_ratio = 'anyres', which is",
        ),
        (
            lambda folder: change_json(folder / "config.json", mm_hidden_size=1024),
            "a vision tower of width 1024, and",
        ),
        (
            lambda folder: change_json(folder.parent / TOWER.name / "config.json", model_type="siglip"),
            "not LLaVA 1.5's CLIP: give",
        ),
        (
            lambda folder: change_json(folder / "config.json", quantization_config={"bits": 4}),
            "holds quantised weights",
        ),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds an adapter"),
        (
            lambda folder: change_json(folder / "config.json", pad_token_id=32000),
            "pad_token_id .* is 32000, outside the 32000 rows",
        ),
        (
            lambda folder: change_json(folder / "config.json", model_type="llava_mpt"),
            "a model of type 'llava_mpt', and rsvlm takes LLaVA 1.5",
        ),
        (cut_shard, "is cut off or damaged"),
        (lambda folder: (folder / "pytorch_model-00002-of-00002.bin").unlink(), "is not in the same folder"),
        (lambda folder: (folder / "pytorch_model.bin.index.json").unlink(), "holds no weights"),
    ],
    ids=[
        *("no-tower", "projector", "aspect", "width", "siglip", "quantised", "adapter", "pad", "kind", "cut", "shard"),
        "index",
    ],
)
def test_a_damaged_original_model_is_refused_in_one_sentence(
    copied: Path, harm: Callable[[Path], Any], sentence: str
) -> None:
    harm(copied)
    with pytest.raises(ModelError, match=sentence):
        load_base(copied, torch.float32)


def test_a_missing_tensor_is_refused(copied: Path) -> None:
    shard = copied / "pytorch_model-00002-of-00002.bin"
    weights = torch.load(shard, weights_only=True)
    torch.save({name: value for name, value in weights.items() if name != "lm_head.weight"}, shard)
    with pytest.raises(ModelError, match=r"lacks lm_head\.weight"):
        load_base(copied, torch.float32)


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer_config.json"])
def test_a_model_without_its_tokenizer_is_refused(copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(ModelError, match=f"lacks {name}"):
        load_processor(copied)


@pytest.mark.parametrize(("aspect", "pads"), [("pad", True), (None, False), ("square", False)])
def test_images_are_padded_as_the_directory_says(copied: Path, aspect: str | None, pads: bool) -> None:
    change_json(copied / "config.json", image_aspect_ratio=aspect)
    assert load_processor(copied).image_processor.do_pad is pads


def test_an_original_adapter_decides_how_images_are_padded(copied: Path, tmp_path: Path) -> None:
    change_json(copied / "config.json", image_aspect_ratio="square")
    assert load_processor(copied, ADAPTER).image_processor.do_pad


def test_no_text_is_encoded_as_the_image_token(original: LoadedModel) -> None:
    texts = ["<0xFF>", "\u00ff", "漢字 🚢", "\u2028", "".join(map(chr, range(256)))]
    ids = original.processor.tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert original.processor.image_token_id not in {token for row in ids for token in row}
    assert IMAGE_INDEX not in {token for row in ids for token in row}
