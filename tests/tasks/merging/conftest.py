"""A toy base model and an adapter for it, created by transformers and PEFT."""

import warnings
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import pytest

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


def load(folder: Path, dtype: str = "auto") -> Any:
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
        model = get_peft_model(load(base, "float32"), LoraConfig(**options))
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


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """The functions above, since a test file cannot import its conftest."""
    return SimpleNamespace(load=load, tuned_model=tuned_model, save_adapter=save_adapter)


@pytest.fixture(scope="session")
def made_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tasks.model.llava.tiny import create_tiny

    folder = tmp_path_factory.mktemp("models") / "base"
    create_tiny(folder, ["a river and a bridge", "two planes"], seed=1, image_size=32)
    return folder


@pytest.fixture(scope="session")
def made_adapter(made_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "checkpoint-400"
    save_adapter(tuned_model(made_base), folder)
    return folder


@pytest.fixture
def base(made_base: Path, tmp_path: Path) -> Path:
    """A writable copy."""
    return copytree(made_base, tmp_path / "base")


@pytest.fixture
def adapter(made_adapter: Path, tmp_path: Path) -> Path:
    """A writable copy."""
    return copytree(made_adapter, tmp_path / "checkpoint-400")
