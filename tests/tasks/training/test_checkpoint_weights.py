"""Weights are saved under their published names, and a training resumes with them."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.errors import ModelError
from tasks.model.llava.tensor_names import NAMES
from tasks.model.loading import load_base
from tasks.training.checkpoint_weights import load_weights, published_weights, record_tied_head, write_non_lora
from tasks.training.job import TrainingJob
from tasks.training.worker import work

JobFor = Callable[..., TrainingJob]


def saved(model: torch.nn.Module, folder: Path) -> Path:
    model.save_pretrained(folder, state_dict=published_weights(model, None, NAMES))
    return folder


def test_saved_weights_are_loaded_again(tiny_model_dir: Path, tmp_path: Path) -> None:
    tuned, other = (load_base(tiny_model_dir, torch.float32) for _ in range(2))
    with torch.no_grad():
        for value in tuned.parameters():
            value.add_(0.5)
    load_weights(other, saved(tuned, tmp_path), NAMES)
    expected = tuned.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in other.state_dict().items())


def test_missing_weight_raises_an_error(tiny_model_dir: Path, tmp_path: Path) -> None:
    model = load_base(tiny_model_dir, torch.float32)
    file = saved(model, tmp_path) / "model.safetensors"
    weights = load_file(file)
    del weights["language_model.model.norm.weight"]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks model\.language_model\.norm\.weight"):
        load_weights(model, tmp_path, NAMES)


@pytest.mark.parametrize("tied", [True, False])
def test_both_configs_record_whether_the_head_is_tied(tiny_model_dir: Path, tied: bool) -> None:
    model = load_base(tiny_model_dir, torch.float32)
    if tied:
        model.lm_head.weight = model.get_input_embeddings().weight
    # the config does not say what the weights are
    model.config.tie_word_embeddings = not tied
    record_tied_head(model)
    assert model.config.tie_word_embeddings is tied
    assert model.config.text_config.tie_word_embeddings is tied


@pytest.mark.slow
@pytest.mark.parametrize("freeze", [[], ["language_model"], ["projector"]])
def test_full_fine_tuning_resumes_with_its_saved_weights(job_for: JobFor, tmp_path: Path, freeze: list[str]) -> None:
    settings: dict[str, Any] = {"lora_enable": False, "max_steps": 4, "learning_rate": 1e-2, "save_steps": 2}
    settings["freeze"] = freeze
    undisturbed = job_for(tmp_path / "undisturbed", **settings)
    work(undisturbed.model_dump(mode="json"))
    copytree(undisturbed.out / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    work(job_for(tmp_path / "resumed", resume=True, **settings).model_dump(mode="json"))
    one, other = (load_file(tmp_path / name / "final" / "model.safetensors") for name in ("undisturbed", "resumed"))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_adapter_with_a_frozen_projector_resumes_with_its_saved_weights(job_for: JobFor, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"freeze": ["projector"], "gradient_checkpointing": True}
    undisturbed = job_for(tmp_path / "undisturbed", **settings)
    work(undisturbed.model_dump(mode="json"))
    copytree(undisturbed.out / "checkpoint-2", tmp_path / "resumed" / "checkpoint-2")
    work(job_for(tmp_path / "resumed", resume=True, **settings).model_dump(mode="json"))
    one, other = (
        load_file(tmp_path / name / "final" / "adapter_model.safetensors") for name in ("undisturbed", "resumed")
    )
    assert sum("multi_modal_projector" in name for name in one) == 4
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_only_fully_trained_weights_are_written(tmp_path: Path) -> None:
    weights = {name: torch.ones(2) for name in ("projector", "tower", "lora_A", "frozen")}
    write_non_lora(tmp_path, weights, {"projector", "tower"})
    assert set(torch.load(tmp_path / "non_lora_trainables.bin", weights_only=True)) == {"projector", "tower"}
