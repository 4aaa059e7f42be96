"""An adapter that the original LLaVA trained merges into the same base in transformers layout."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from tasks.files import read_json
from tasks.merging.merge import merge_adapter
from tasks.model.formats import canonical_name

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracle"
ORIGINAL = ORACLE / "models" / "tiny-llava-v1.5"
TOWER = ORACLE / "models" / "tiny-clip-vit-56"
ADAPTER = ORACLE / "lora" / "tiny-llava-v1.5-lora"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The reference's base model, rewritten by transformers."""
    if not ORIGINAL.is_dir():
        pytest.skip("golden values not present")
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    original = read_json(ORIGINAL / "config.json")
    text = LlamaConfig(**{key: original[key] for key in vars(LlamaConfig()) if key in original})
    vision = CLIPVisionConfig.from_pretrained(TOWER)
    model = LlavaForConditionalGeneration(LlavaConfig(vision_config=vision, text_config=text, image_token_index=31999))
    weights = {canonical_name(name): value for name, value in original_weights().items()}
    tower = {
        canonical_name(f"model.vision_tower.{name}"): value
        for name, value in load_file(TOWER / "model.safetensors").items()
    }
    model.load_state_dict({**weights, **tower})
    model.save_pretrained(tmp_path / "base")
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / "base" / name).write_bytes((ORIGINAL / name).read_bytes())
    (tmp_path / "base" / "preprocessor_config.json").write_bytes((TOWER / "preprocessor_config.json").read_bytes())
    return tmp_path / "base"


def original_weights() -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for file in sorted(ORIGINAL.glob("pytorch_model-*.bin")):
        weights |= torch.load(file, weights_only=True)
    return weights


def test_the_references_adapter_merges_as_its_formula_says(toy: SimpleNamespace, base: Path, tmp_path: Path) -> None:
    merge_adapter(base, ADAPTER, tmp_path / "out")
    merged, weights = toy.load(tmp_path / "out").state_dict(), original_weights()
    lora = load_file(ADAPTER / "adapter_model.safetensors")
    scale = 16 / 8
    for name, a in lora.items():
        if "lora_A" in name:
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            expected = weights[f"{module}.weight"] + scale * lora[name.replace("lora_A", "lora_B")] @ a
            torch.testing.assert_close(merged[canonical_name(f"{module}.weight")], expected, atol=1e-6, rtol=0)


def test_the_references_projector_takes_the_bases_place(toy: SimpleNamespace, base: Path, tmp_path: Path) -> None:
    merge_adapter(base, ADAPTER, tmp_path / "out")
    merged = toy.load(tmp_path / "out").state_dict()
    for name, value in torch.load(ADAPTER / "non_lora_trainables.bin", weights_only=True).items():
        assert torch.equal(merged[canonical_name(name)], value)
