"""A very small experiment: forty drawn scenes, a toy model with random weights, two steps of training."""

import hashlib
from collections import Counter
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest
from support.scored_runs import scored_runs

from tasks import files
from tasks.settings import ExperimentConfig

__all__ = ["scored_runs"]


def settings(base: Path) -> dict[str, dict[str, Any]]:
    training = {
        **{"lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "mm_projector_lr": 1e-3, "learning_rate": 1e-2},
        **{"max_steps": 2, "save_steps": 1, "save_total_limit": 1, "per_device_train_batch_size": 4},
        **{"gradient_accumulation_steps": 1, "warmup_ratio": 0, "bf16": False, "tf32": False, "use_cpu": True},
        **{"gradient_checkpointing": False, "dataloader_num_workers": 0},
    }
    return {
        "data": {"sample": {"scenes": 40, "image_size": 48}, "train": 0.5, "test": 0.5},
        "model": {"base": str(base)},
        "training": training,
        "inference": {"max_new_tokens": 2, "batch_size": 64},
        "evaluation": {"gallery": 4},
    }


@pytest.fixture(scope="session")
def small_experiment(tiny_model_dir: Path) -> Callable[..., ExperimentConfig]:
    """Build the experiment; further values are those of sections, as `training={"seed": 1}`."""

    def build(**changes: dict[str, Any]) -> ExperimentConfig:
        plain = settings(tiny_model_dir)
        for section, values in changes.items():
            plain[section] = {**plain.get(section, {}), **values}
        return ExperimentConfig.model_validate(plain)

    return build


@pytest.fixture
def hashed_files(monkeypatch: pytest.MonkeyPatch) -> Counter[Path]:
    """How often each file is read for its hash; none is known to this process yet."""
    read: Counter[Path] = Counter()
    hash_file = hashlib.file_digest

    def counted(file: BufferedReader, *kind: Any) -> Any:
        read[Path(file.name)] += 1
        return hash_file(file, *kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    # what an earlier test has written may be a second old
    monkeypatch.setattr(files, "SETTLED_NS", -1)
    files._sha256_in_state.cache_clear()
    return read
