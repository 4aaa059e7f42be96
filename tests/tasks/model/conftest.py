"""A writable toy model, and an adapter for it created by PEFT."""

import warnings
from pathlib import Path
from shutil import copytree

import pytest


@pytest.fixture
def model_dir(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A writable copy of the toy model."""
    return copytree(tiny_model_dir, tmp_path / "model")


@pytest.fixture(scope="session")
def made_adapter(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of rank 4 with a projector of ones."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tasks.model.loading import load_base

    folder = tmp_path_factory.mktemp("adapters") / "checkpoint-1"
    config = LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False)
    with warnings.catch_warnings():
        # PEFT asks transformers for a name that the next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(load_base(tiny_model_dir, torch.float32), config)
    model.save_pretrained(folder)
    projector = {
        name: torch.ones_like(value) for name, value in model.state_dict().items() if "multi_modal_projector" in name
    }
    torch.save(projector, folder / "non_lora_trainables.bin")
    return folder


@pytest.fixture
def adapter(made_adapter: Path, tmp_path: Path) -> Path:
    """A writable copy of the adapter."""
    return copytree(made_adapter, tmp_path / "checkpoint-1")
