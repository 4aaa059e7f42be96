"""Toy LLaVA models with random weights, and an adapter of one."""

import warnings
from pathlib import Path

import pytest

TINY_TEXTS = (
    "What is the topic of this image?",
    "an airport with two planes on a runway",
    "Is it a rural or an urban area",
    "How many ships are there in this picture?",
    "a beach with white sand beside the blue sea",
    "A chat between a curious user and an artificial intelligence assistant. USER: ASSISTANT:",
)


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy LLaVA with random weights: the real architecture, in transformers layout."""
    from tasks.model.llava.tiny import create_tiny

    folder = tmp_path_factory.mktemp("models") / "tiny"
    create_tiny(folder, TINY_TEXTS, seed=28)
    return folder


@pytest.fixture(scope="session")
def lively_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with larger weights: its answers differ between images and questions."""
    from tasks.model.llava.tiny import create_tiny

    folder = tmp_path_factory.mktemp("lively") / "tiny-llava"
    create_tiny(folder, TINY_TEXTS, seed=28, scale=10)
    return folder


@pytest.fixture(scope="session")
def tuned_pair(lively_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A toy model whose answers differ between images and questions, and an adapter with its own projector."""
    import torch
    from peft import LoraConfig, get_peft_model

    from tasks.model.loading import load_base

    adapter = tmp_path_factory.mktemp("pair") / "checkpoint-300"
    with torch.random.fork_rng(), warnings.catch_warnings():
        # PEFT asks transformers for a name that its next major version drops
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(28)
        config = LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False)
        tuned = get_peft_model(load_base(lively_model_dir, torch.float32), config)
        projector = {name: torch.randn_like(value) for name, value in tuned.state_dict().items() if "projector" in name}
    tuned.save_pretrained(adapter)
    torch.save(projector, adapter / "non_lora_trainables.bin")
    return lively_model_dir, adapter
