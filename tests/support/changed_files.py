"""Base and adapter with something changed in their files, and the rule for what cannot be merged."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import ModelError
from tasks.files import read_json, write_json
from tasks.merging.merge import merge_adapter

LORA = "adapter_model.safetensors"
PROJECTOR = "non_lora_trainables.bin"
Change = Callable[[dict[str, torch.Tensor]], object]
B_MATRIX = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_B.weight"
BIAS = "base_model.model.model.multi_modal_projector.linear_1.bias"


def refused(base: Path, adapter: Path, match: str) -> None:
    out = base.parent / "merged"
    with pytest.raises(ModelError, match=match):
        merge_adapter(base, adapter, out)
    assert not list(base.parent.glob("*merged*"))


def change_lora(adapter: Path, change: Change) -> None:
    tensors = load_file(adapter / LORA)
    change(tensors)
    save_file(tensors, adapter / LORA)


def change_projector(adapter: Path, change: Change) -> None:
    tensors = torch.load(adapter / PROJECTOR, weights_only=True)
    change(tensors)
    torch.save(tensors, adapter / PROJECTOR)


def change_json(file: Path, **values: object) -> None:
    write_json(file, {**read_json(file), **values})


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])
