"""Bases and adapters that cannot be merged are refused with a sentence, and nothing is written."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.changed_files import (
    B_MATRIX,
    BIAS,
    LORA,
    PROJECTOR,
    Code,
    change_json,
    change_lora,
    change_projector,
    cut,
    refused,
)
from support.tuned_models import load_plain

from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.merging.merge import merge_adapter
from tasks.merging.model_directory import MergeOptions, require_space


def test_an_adapter_without_projector_is_refused(base: Path, adapter: Path) -> None:
    (adapter / PROJECTOR).unlink()
    refused(base, adapter, r"checkpoint-400 lacks the projector .*linear_1.* final")


def test_an_incomplete_projector_is_refused(base: Path, adapter: Path) -> None:
    change_projector(adapter, lambda tensors: tensors.pop(BIAS))
    refused(base, adapter, r"lacks the projector \(model.multi_modal_projector.linear_1.bias\)")


def test_a_projector_equal_to_the_bases_is_refused(base: Path, adapter: Path) -> None:
    kept = {name: value for name, value in load_plain(base).state_dict().items() if "multi_modal_projector" in name}
    torch.save({f"base_model.model.{name}": value for name, value in kept.items()}, adapter / PROJECTOR)
    refused(base, adapter, "is the base's")


def test_a_projector_in_the_adapters_own_file_is_used(base: Path, adapter: Path, tmp_path: Path) -> None:
    projector = torch.load(adapter / PROJECTOR, weights_only=True)
    change_lora(adapter, lambda tensors: tensors.update(projector))
    (adapter / PROJECTOR).unlink()
    merge_adapter(base, adapter, tmp_path / "out")


def test_all_zero_b_matrices_are_refused(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: [value.zero_() for name, value in tensors.items() if "lora_B" in name])
    refused(base, adapter, "All B matrices .* never trained")


def test_a_missing_lora_matrix_is_refused(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: tensors.pop(B_MATRIX))
    refused(base, adapter, r"lacks lora_B of model.language_model.layers.0.self_attn.q_proj.weight")


def test_nan_in_the_adapter_is_refused(base: Path, adapter: Path) -> None:
    change_lora(adapter, lambda tensors: tensors[B_MATRIX].view(-1)[5:6].fill_(torch.nan))
    refused(base, adapter, r"q_proj.lora_B.weight .* NaN or Inf")


def test_inf_in_the_projector_is_refused(base: Path, adapter: Path) -> None:
    change_projector(adapter, lambda tensors: tensors[BIAS][0].fill_(torch.inf))
    refused(base, adapter, r"linear_1.bias .* NaN or Inf")


def test_overflow_of_the_requested_dtype_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    change_projector(adapter, lambda tensors: tensors[BIAS][0].fill_(1e30))
    with pytest.raises(ModelError, match=r"linear_1.bias holds NaN or Inf as F16"):
        merge_adapter(base, adapter, tmp_path / "merged", MergeOptions("float16"))
    assert not list(tmp_path.glob("*merged*"))


def test_a_base_of_another_width_is_refused(base: Path, adapter: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    name = "language_model.model.layers.0.self_attn.q_proj.weight"
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    refused(base, adapter, r"q_proj.weight is \[128, 128\] .* and \[128, 127\] .* that it was trained on")


def test_a_base_with_fewer_layers_is_refused(base: Path, adapter: Path) -> None:
    tensors = {name: value for name, value in load_file(base / "model.safetensors").items() if "layers.2" not in name}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    refused(base, adapter, r"layers.2.* does not have")


@pytest.mark.parametrize("name", ["adapter_config.json", LORA])
def test_a_missing_file_of_the_adapter_is_refused(base: Path, adapter: Path, name: str) -> None:
    (adapter / name).unlink()
    refused(base, adapter, name)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_missing_file_of_the_base_is_refused(base: Path, adapter: Path, name: str) -> None:
    (base / name).unlink()
    refused(base, adapter, name)


@pytest.mark.parametrize("name", [LORA, PROJECTOR, "adapter_config.json"])
def test_a_truncated_file_of_the_adapter_is_refused(base: Path, adapter: Path, name: str) -> None:
    cut(adapter / name)
    refused(base, adapter, name)


@pytest.mark.parametrize("kept", [0, 5, 100, 5000])
def test_a_shard_truncated_anywhere_is_refused(base: Path, adapter: Path, kept: int) -> None:
    shard = base / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:kept])
    refused(base, adapter, "model.safetensors .* copy it again")


def test_a_shard_without_its_end_is_refused(base: Path, adapter: Path) -> None:
    cut(base / "model.safetensors")
    refused(base, adapter, "cut off")


def test_a_missing_shard_of_the_index_is_refused(base: Path, adapter: Path) -> None:
    names = dict.fromkeys(load_file(base / "model.safetensors"), "model.safetensors")
    index = {"weight_map": {**names, "more": "model-00002-of-00002.safetensors"}}
    write_json(base / "model.safetensors.index.json", index)
    refused(base, adapter, "model-00002-of-00002.safetensors.*, which is not in the same folder")


def test_a_missing_tensor_of_the_index_is_refused(base: Path, adapter: Path) -> None:
    names = dict.fromkeys([*load_file(base / "model.safetensors"), "more"], "model.safetensors")
    write_json(base / "model.safetensors.index.json", {"weight_map": names})
    refused(base, adapter, "lacks more in model.safetensors")


def test_an_index_that_points_outside_its_folder_is_refused(base: Path, adapter: Path) -> None:
    write_json(base / "model.safetensors.index.json", {"weight_map": {"more": "../secret"}})
    refused(base, adapter, "secret.*, which is not in the same folder")


def test_a_full_disk_is_refused_before_computing(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(ModelError, match=r"is full: the model takes 1000000000\.0 GB"):
        require_space(tmp_path, 10**18)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_pickled_code_is_not_run(
    base: Path, adapter: Path, tmp_path: Path, save: Callable[[object, Path], object]
) -> None:
    save({"weights": Code(tmp_path / "trace")}, adapter / PROJECTOR)
    refused(base, adapter, f"{PROJECTOR} holds more than tensors")
    assert not (tmp_path / "trace").exists()


def test_an_incomplete_config_is_refused(base: Path, adapter: Path) -> None:
    config = read_json(base / "config.json")
    del config["text_config"]
    write_json(base / "config.json", config)
    refused(base, adapter, "no text_config")


@pytest.mark.parametrize("content", ["{", "[]", "version https://git-lfs.github.com/spec/v1"])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer.model", "special_tokens_map.json"])
def test_a_damaged_tokenizer_file_is_refused(base: Path, adapter: Path, name: str, content: str) -> None:
    # with the template that training saved nothing is made of the tokenizer, which is copied
    (adapter / "chat_template.jinja").write_text("as trained")
    (base / name).write_text(content)
    refused(base, adapter, f"base/{name} (is damaged .*|holds no settings): copy ")


def test_invalid_generation_settings_are_refused(base: Path, adapter: Path) -> None:
    write_json(base / "generation_config.json", [])
    refused(base, adapter, "base/generation_config.json holds no settings")


def test_a_base_that_is_not_llava_is_refused(base: Path, adapter: Path) -> None:
    change_json(base / "config.json", model_type="bert")
    refused(base, adapter, "bert")
