"""The original LLaVA's base and adapter merge between all layouts, with the reference's logits."""

from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.locations import ORACLE
from support.tuned_models import load_plain

from tasks.errors import ModelError
from tasks.files import read_json
from tasks.merging.merge import copy_full_model, merge_adapter
from tasks.merging.model_directory import MergeOptions
from tasks.merging.tensor_merge import kept, write_files
from tasks.merging.verify import require_same_answers
from tasks.model.adapters import apply_adapter
from tasks.model.llava.model_tensors import read_base, slots
from tasks.model.llava.original_config import original_config
from tasks.model.llava.processor_files import save_processor
from tasks.model.llava.tensor_names import NAMES, canonical_name
from tasks.model.loading import load_base, load_processor

ORIGINAL = ORACLE / "models" / "tiny-llava-v1.5"
TOWER = ORACLE / "models" / "tiny-clip-vit-56"
ADAPTER = ORACLE / "lora" / "tiny-llava-v1.5-lora"


@pytest.fixture
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a merge verified on answers of two tokens, where it is correct."""
    monkeypatch.setattr("tasks.merging.verify.ANSWER_TOKENS", 2)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    if not ORIGINAL.is_dir():
        pytest.skip("golden values not present")
    copytree(TOWER, tmp_path / "tiny-clip-vit-56")
    return copytree(ORIGINAL, tmp_path / "original")


def original_weights() -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    for file in sorted(ORIGINAL.glob("pytorch_model-*.bin")):
        weights |= torch.load(file, weights_only=True)
    return weights


def expected_weights() -> dict[str, torch.Tensor]:
    """The merge by the reference's formula, with its tensor names."""
    weights = original_weights()
    lora = load_file(ADAPTER / "adapter_model.safetensors")
    for name, a in lora.items():
        if "lora_A" in name:
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            weights[f"{module}.weight"] += 2 * lora[name.replace("lora_A", "lora_B")] @ a
    for name, value in torch.load(ADAPTER / "non_lora_trainables.bin", weights_only=True).items():
        weights[name.removeprefix("base_model.model.")] = value
    return weights


@pytest.mark.parametrize("layout", ["transformers", "llava"])
def test_a_base_with_both_files_of_a_tokenizer_is_merged_unless_one_is_damaged(
    original: Path, tmp_path: Path, layout: Any
) -> None:
    load_processor(original).tokenizer.backend_tokenizer.save(str(original / "tokenizer.json"))
    merge_adapter(original, ADAPTER, tmp_path / "out", MergeOptions(layout=layout))
    assert load_processor(tmp_path / "out").tokenizer("a river")["input_ids"]
    (original / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"original/tokenizer\.json is damaged"):
        merge_adapter(original, ADAPTER, tmp_path / "again", MergeOptions(layout=layout))
    assert not list(tmp_path.glob("*again*"))


def test_the_reference_base_becomes_a_transformers_model(original: Path, tmp_path: Path) -> None:
    merge_adapter(original, ADAPTER, tmp_path / "out")
    merged = load_plain(tmp_path / "out").state_dict()
    for name, value in expected_weights().items():
        torch.testing.assert_close(merged[canonical_name(name)], value, atol=1e-6, rtol=0, msg=name)
    tower = load_file(TOWER / "model.safetensors")
    assert all(torch.equal(merged[canonical_name(f"vision_tower.{name}")], value) for name, value in tower.items())


def test_names_dtypes_and_files_of_the_original_layout_equal_the_reference(original: Path, tmp_path: Path) -> None:
    merge_adapter(original, ADAPTER, tmp_path / "out", MergeOptions(layout="llava"))
    out = tmp_path / "out"
    found = {name: value for file in out.glob("*.safetensors") for name, value in load_file(file).items()}
    expected = expected_weights()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0, msg=name)
    assert read_json(out / "config.json") == read_json(ORIGINAL / "config.json")
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"):
        assert (out / name).read_bytes() == (ORIGINAL / name).read_bytes()


def written(folder: Path, layout: Any, out: Path) -> Path:
    """Write the unchanged weights of a model in a layout."""
    model = read_base(folder)
    files: dict[Path, list[Any]] = {}
    for name, place in slots(model, layout).items():
        tensor = model.tensors[name]
        files.setdefault(out / place.file, []).append(kept(tensor, tensor.dtype, place.name))
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    write_files(files)
    return out


def test_to_the_original_layout_and_back_is_bit_identical(base: Path, adapter: Path, tmp_path: Path) -> None:
    first, other, back = (tmp_path / name for name in ("first", "other", "back"))
    merge_adapter(base, adapter, first)
    merge_adapter(base, adapter, other, MergeOptions(layout="llava"))
    written(other, "transformers", back)
    # the base has the names of today's transformers, and what is written those that all versions read
    shards = [load_file(file) for file in back.glob("*.safetensors")]
    found = {canonical_name(name): value for shard in shards for name, value in shard.items()}
    expected = {canonical_name(name): value for name, value in load_file(first / "model.safetensors").items()}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name].view(torch.uint8), value.view(torch.uint8)), name


@pytest.mark.parametrize(
    ("part", "setting"),
    [
        (None, {"projector_hidden_act": "silu"}),
        (None, {"multimodal_projector_bias": False}),
        ("text_config", {"mlp_bias": True}),
        ("text_config", {"head_dim": 8}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_settings_that_the_original_layout_lacks_are_refused(
    base: Path, part: str | None, setting: dict[str, Any]
) -> None:
    config = read_json(base / "config.json")
    original_config(config, pads=True, tower="")
    (config[part] if part else config).update(setting)
    with pytest.raises(ModelError, match=rf"{next(iter(setting))} = .* in the original layout: merge it with --format"):
        original_config(config, pads=True, tower="")


def test_config_json_of_the_original_layout_equals_the_references(base: Path, adapter: Path, tmp_path: Path) -> None:
    from tasks.model.llava.model_config import require_model_config

    merge_adapter(base, adapter, tmp_path / "out", MergeOptions(layout="llava"))
    config = read_json(tmp_path / "out" / "config.json")
    assert config["model_type"] == "llava_llama"
    assert Path(config["mm_vision_tower"]) == tmp_path / "out" / "vision_tower"
    assert config["image_aspect_ratio"] == "pad"
    back, before = require_model_config(tmp_path / "out"), require_model_config(base)
    for part, keys in (
        ("text_config", ("hidden_size", "vocab_size", "rms_norm_eps")),
        ("vision_config", ("image_size",)),
    ):
        assert [back[part][key] for key in keys] == [before[part][key] for key in keys]
    assert back["vision_feature_layer"] == before["vision_feature_layer"]


@pytest.mark.usefixtures("short_answers")
@pytest.mark.parametrize("layout", ["transformers", "llava"])
def test_the_merged_model_answers_as_base_and_adapter(original: Path, tmp_path: Path, layout: Any) -> None:
    # not in the folder of the base, whose tower is next to it
    out = tmp_path / "elsewhere" / "out"
    merge_adapter(original, ADAPTER, out, MergeOptions(layout=layout, verify=True))
    assert (out / "MANIFEST.json").is_file()


def logits_of(model: Any, processor: Any) -> list[torch.Tensor]:
    """Logits of the reference's batch of eight, one sample at a time."""
    from tasks.model.encoding import expand_images

    golden = np.load(ORACLE / "forward.npz")
    found = []
    for ids, mask, image in zip(golden["input_ids"], golden["attention_mask"], golden["images"], strict=True):
        row = expand_images(ids[mask].tolist(), [[processor.image_token_id] * processor.image_tokens])
        with torch.no_grad():
            output = model(input_ids=torch.tensor([row]), pixel_values=torch.from_numpy(image)[None])
        found.append(output.logits[0])
    return found


@pytest.mark.parametrize("layout", ["transformers", "llava"])
def test_merged_logits_equal_those_of_base_and_adapter(original: Path, tmp_path: Path, layout: Any) -> None:
    merge_adapter(original, ADAPTER, tmp_path / "out", MergeOptions(layout=layout))
    processor = load_processor(original)
    base = logits_of(load_base(original, torch.float32), processor)
    expected = logits_of(apply_adapter(load_base(original, torch.float32), ADAPTER, NAMES), processor)
    found = logits_of(load_base(tmp_path / "out", torch.float32), processor)
    # the reference's own merge moves its logits by 6.8e-6
    for new, old in zip(found, expected, strict=True):
        torch.testing.assert_close(new, old, atol=1e-5, rtol=0)
    assert max(float((old - new).abs().max()) for old, new in zip(base, found, strict=True)) > 1e-3


def test_transformers_loads_the_merged_directory_and_generates(original: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    merge_adapter(original, ADAPTER, tmp_path / "out")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    processor = AutoProcessor.from_pretrained(tmp_path / "out", backend="pil")
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a river"}]}
    prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
    inputs = processor(images=np.zeros((40, 30, 3), "uint8"), text=prompt, return_tensors="pt")
    answered = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert answered.shape[1] > inputs["input_ids"].shape[1]


@pytest.mark.usefixtures("short_answers")
@pytest.mark.parametrize("tower", ["trained", "the base's"])
def test_a_trained_tower_is_written_and_an_unchanged_one_is_named(original: Path, tmp_path: Path, tower: str) -> None:
    model = load_base(original, torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if tower == "trained" or "vision_tower" not in name:
                parameter.add_(0.01)
    model.save_pretrained(tmp_path / "tuned")
    save_processor(load_processor(original), tmp_path / "tuned")
    options = MergeOptions(layout="llava", verify=True)
    out = copy_full_model(original, tmp_path / "tuned", tmp_path / "out", options).path
    own = out / "vision_tower"
    assert own.is_dir() == (tower == "trained")
    named = read_json(out / "config.json")["mm_vision_tower"]
    assert named == (str(own) if tower == "trained" else "tiny-clip-vit-56")
    found = load_base(out, torch.float32).state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)


def test_verify_refuses_different_answers(original: Path, tmp_path: Path) -> None:
    merge_adapter(original, ADAPTER, tmp_path / "out")
    changed = load_file(tmp_path / "out" / "model-00001-of-00003.safetensors")
    name = next(name for name in changed if name.endswith("0.mlp.up_proj.weight"))
    changed[name] *= 1.01
    save_file(changed, tmp_path / "out" / "model-00001-of-00003.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"answers .* differently"):
        require_same_answers(original, ADAPTER, tmp_path / "out")
