"""What tests of several stages share."""

import os
from collections.abc import Iterator
from pathlib import Path

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
