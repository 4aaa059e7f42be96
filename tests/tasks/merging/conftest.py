"""A toy base model and an adapter for it, created by transformers and PEFT."""

from pathlib import Path
from shutil import copytree

import pytest
from support.tuned_models import save_adapter, tuned_model


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
