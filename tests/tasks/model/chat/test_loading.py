"""Models of the generic families load as with transformers; damaged directories are refused in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from tasks.errors import ModelError
from tasks.model.chat.hub_processor import load_hub_processor
from tasks.model.checkpoint_origin import weights_fingerprint
from tasks.model.families import family_of
from tasks.model.inputs import batch_of, prompt_row

QUESTION = "Is there a road?"


def _hub_inputs(folder: Path, picture: Image.Image) -> dict[str, Any]:
    """What transformers' own processor makes of a question about an image."""
    hub: Any = load_hub_processor(folder)
    text = f"{hub.image_token}{QUESTION}"
    if hub.chat_template:
        content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
        text = hub.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return dict(hub(text=[text], images=[[picture]], return_tensors="pt"))


@torch.no_grad()
def test_logits_equal_those_of_transformers(folder: Path, pictures: list[Image.Image]) -> None:
    family = family_of(folder)
    processor, model = family.load_processor(folder), family.load_base(folder, torch.float32)
    assert not model.training and model.name_or_path == str(folder)
    reference = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    for picture in pictures:
        expected = _hub_inputs(folder, picture)
        row = prompt_row(processor.encode_prompt([("human", f"<image>\n{QUESTION}")]), [processor.prepare(picture)])
        ours = batch_of([row], processor)
        logits = reference(**expected).logits
        torch.testing.assert_close(model(**expected).logits, logits, atol=1e-5, rtol=1e-5)
        if ours["input_ids"].tolist() == expected["input_ids"].tolist():
            torch.testing.assert_close(model(**ours).logits, logits, atol=1e-5, rtol=1e-5)


def test_a_stored_model_has_all_tensors(member: str, folder: Path) -> None:
    family = family_of(folder)
    stored = family.read_stored(folder)
    model = family.load_base(folder, torch.float32)
    lacking = model.state_dict().keys() - stored.tensors.keys()
    assert lacking == ({"lm_head.weight"} if stored.ties else set())
    assert stored.layout == "transformers" and stored.projector and stored.tied == (member == "paligemma")
    for name, tensor in stored.tensors.items():
        assert tensor.shape == tuple(model.state_dict()[name].shape)
    # the configuration is JSON with transformers' defaults
    assert json.loads(json.dumps(stored.config))["text_config"]["num_hidden_layers"] == 2


def test_the_fingerprint_of_weights_is_that_of_language_model_and_projector(folder: Path, tmp_path: Path) -> None:
    names = family_of(folder).names
    copy = shutil.copytree(folder, tmp_path / "copy")
    before = weights_fingerprint(folder)
    assert weights_fingerprint(copy) == before
    for part, same in ((names.is_tower, True), (names.is_projector, False)):
        tensors = load_file(folder / "model.safetensors")
        changed = {name: value + 1 if part(names.canonical(name)) else value for name, value in tensors.items()}
        save_file(changed, copy / "model.safetensors")
        assert (weights_fingerprint(copy) == before) == same


def _without(name: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda tensors: {key: value for key, value in tensors.items() if not key.endswith(name)}


DAMAGES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], str]] = {
    "a tensor is missing": (_without("layers.1.mlp.up_proj.weight"), r"lacks model\.\S+1\.mlp\.up_proj\.weight: "),
    "other shapes": (lambda tensors: {k: v[..., :-1].contiguous() for k, v in tensors.items()}, "has the shape"),
    "quantised": (lambda tensors: {k: v.to(torch.int8) for k, v in tensors.items()}, r"quantised weights \("),
    "float64": (lambda tensors: {k: v.double() for k, v in tensors.items()}, "is float64"),
    "a tensor is there twice": (
        lambda tensors: tensors | {f"model.{k}": v.clone() for k, v in tensors.items() if k.startswith("vis")}, "twice"
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_refused(
    tiny_family_dir: Callable[[str], Path], tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, message = DAMAGES[damage]
    folder = shutil.copytree(tiny_family_dir("qwen2_5_vl"), tmp_path / "model")
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors", {"format": "pt"})
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", None)
    with pytest.raises(ModelError, match=rf"^[^\n]*{message}[^\n]*$"):
        family_of(folder).load_base(folder, torch.float32)


CONFIG_DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "layers": ({"text_config": {"num_hidden_layers": 10**9}}, "has 1000000000 layers"),
    "tower layers": ({"vision_config": {"depth": 10**9, "num_hidden_layers": 10**9}}, "has 1000000000 layers"),
    "quantised": ({"quantization_config": {"quant_method": "awq"}}, r"quantised weights \(awq\)"),
    "no text": ({"text_config": "x"}, "configuration of .* cannot be read"),
    "hidden size": ({"text_config": {"hidden_size": 48}}, "has the shape"),
    "image token": ({"image_token_id": "x", "image_token_index": "x"}, "config"),
}


@pytest.mark.parametrize("damage", CONFIG_DAMAGES)
@pytest.mark.parametrize("member", ["qwen2_5_vl", "qwen3_vl", "internvl"])
def test_damaged_configurations_are_refused(
    folder: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, message = CONFIG_DAMAGES[damage]
    copy = shutil.copytree(folder, tmp_path / "model")
    config = json.loads((copy / "config.json").read_text())
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) and key in config else value
    (copy / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", None)
    with pytest.raises(ModelError, match=rf"^[^\n]*{message}[^\n]*$"):
        family_of(copy).load_base(copy, torch.float32)


def test_a_model_without_a_projector_is_not_stored(tiny_family_dir: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_family_dir("llava_next"), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in tensors.items() if "projector" not in name}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="has no projector"):
        family_of(folder).read_stored(folder)


def test_zero_3_skips_the_check_that_deepspeed_would_partition(
    tiny_family_dir: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_family_dir("qwen2_5_vl")
    family = family_of(folder)
    monkeypatch.setattr("transformers.integrations.is_deepspeed_zero3_enabled", lambda: True)
    monkeypatch.setattr("tasks.model.chat.loading.require_loadable", None)
    assert family.load_base(folder, torch.float32).name_or_path == str(folder)
