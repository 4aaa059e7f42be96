"""What tests of several stages share."""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

# Two threads that wait for each other on a busy machine made a toy model a hundred times slower; children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
    from tasks.model.tiny import create_tiny

    folder = tmp_path_factory.mktemp("models") / "tiny"
    create_tiny(folder, TINY_TEXTS, seed=28)
    return folder


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Prefect server of the tests' own, started once; yields its home, where results are kept."""
    from flows.embedded import prepare_prefect

    prepare_prefect()
    from prefect.settings import PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    home = tmp_path_factory.mktemp("prefect")
    settings = {PREFECT_HOME: home, PREFECT_LOCAL_STORAGE_PATH: home / "storage"}
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=120):
        yield home


@pytest.fixture(scope="session")
def tuned_pair(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A toy model that says something else of each image and question, and an adapter with a projector of its own."""
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model

    from tasks.model.loading import load_base

    folder = tmp_path_factory.mktemp("pair")
    base, adapter = copytree(tiny_model_dir, folder / "tiny-llava"), folder / "checkpoint-300"
    model = load_base(base, torch.float32)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(28)
        for weights in model.parameters():
            if weights.dim() > 1:
                # new weights say the same whatever they are shown
                weights.mul_(10)
        model.save_pretrained(base)
        with warnings.catch_warnings():
            # PEFT asks transformers for a name that its next major version drops
            warnings.simplefilter("ignore", FutureWarning)
            config = LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj", init_lora_weights=False)
            tuned = get_peft_model(model, config)
        projector = {name: torch.randn_like(value) for name, value in tuned.state_dict().items() if "projector" in name}
    tuned.save_pretrained(adapter)
    torch.save(projector, adapter / "non_lora_trainables.bin")
    return base, adapter
