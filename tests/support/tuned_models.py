"""A base model as it is published, and LoRA adapters for it, created by transformers and PEFT alone."""

import warnings
from pathlib import Path
from typing import Any

from tasks.files import write_json

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def load_plain(folder: Path, dtype: str = "auto") -> Any:
    """Load a model with plain transformers."""
    from transformers import LlavaForConditionalGeneration

    return LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype)


def tuned_model(base: Path, **settings: Any) -> Any:
    """The base with random LoRA matrices and a random projector, from a fixed seed."""
    import torch
    from peft import LoraConfig, get_peft_model

    options = {"r": 8, "lora_alpha": 16, "target_modules": TARGETS, "task_type": "CAUSAL_LM", **settings}
    with warnings.catch_warnings(), torch.random.fork_rng():
        torch.manual_seed(2)
        # PEFT asks transformers for a name that the next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(load_plain(base, "float32"), LoraConfig(**options))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name or "multi_modal_projector" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    return model


def save_adapter(model: Any, folder: Path) -> None:
    """Save the files that training saves for merging."""
    import torch

    with warnings.catch_warnings():
        # a wrapped lm_head is saved with its base weight, and PEFT says so
        warnings.simplefilter("ignore", UserWarning)
        model.save_pretrained(folder)
    projector = {name: value for name, value in model.state_dict().items() if "multi_modal_projector" in name}
    torch.save(projector, folder / "non_lora_trainables.bin")


def shard(folder: Path) -> None:
    """Split the base into two shards with an index, as large models are published."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    names = {name: f"model-0000{1 + ('layers.1' in name)}-of-00002.safetensors" for name in tensors}
    for file in set(names.values()):
        save_file({name: tensors[name] for name in tensors if names[name] == file}, folder / file, {"format": "pt"})
    (folder / "model.safetensors").unlink()
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": names})
