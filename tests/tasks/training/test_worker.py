"""Training from end to end in real child processes, on a toy model with random weights."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from support.trained_checkpoints import weights

from tasks.errors import DataError, TrainingError, UserError
from tasks.files import read_json, sha256_of
from tasks.manifests import verified_manifest
from tasks.model.loading import load_model
from tasks.records import CheckpointRef, ModelRef
from tasks.settings import ModelConfig
from tasks.training.job import TrainingJob
from tasks.training.launch import train
from tasks.training.worker import work

pytestmark = pytest.mark.slow

MODEL_FILES = {
    *("adapter_config.json", "adapter_model.safetensors", "non_lora_trainables.bin", "config.json", "README.md"),
    *("trainer_state.json", "COMPLETE.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"),
    *("generation_config.json", "processor_config.json", "chat_template.jinja", "origin.json"),
}
RESUME_FILES = {"optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"}
JobFor = Callable[..., TrainingJob]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Four steps, saved every two, staged for the store; not to be changed."""
    folder, lines = tmp_path_factory.mktemp("trained"), []
    job = job_for(folder / "training", folder / "staging", lora_dropout=0.05)
    ref = train(job, lines.append)
    return SimpleNamespace(job=job, ref=ref, lines=lines, out=job.out)


def test_checkpoint_holds_all_files_for_loading_and_resuming(trained: SimpleNamespace) -> None:
    assert names(trained.out) == {"checkpoint-2", "checkpoint-4", "final"}
    for step in (2, 4):
        assert names(trained.out / f"checkpoint-{step}") == MODEL_FILES | RESUME_FILES


def test_final_model_has_no_optimizer_state(trained: SimpleNamespace) -> None:
    assert names(trained.out / "final") == {*MODEL_FILES, "MANIFEST.json"}
    assert verified_manifest(trained.out / "final", trained.job.fingerprint)
    assert (trained.ref.path, trained.ref.step, trained.ref.run) == (trained.out / "final", 4, "test")


def test_checkpoints_are_staged_and_announced_in_order(trained: SimpleNamespace) -> None:
    assert [line for line in trained.lines if line.startswith("checkpoint complete")] == [
        "checkpoint complete: checkpoint-2",
        "checkpoint complete: checkpoint-4",
    ]
    assert names(trained.job.staging) == {"checkpoint-2", "checkpoint-4"}


def test_number_of_samples_parameters_and_steps_are_logged(trained: SimpleNamespace) -> None:
    text = "\n".join(trained.lines)
    assert "data_train: 24 records, 24 samples" in text
    assert re.search(r"54,400 of \d{3},\d{3} parameters are trained", text)
    assert "step 4/4: loss " in text


def test_training_changes_adapter_and_projector(trained: SimpleNamespace) -> None:
    two, four = (weights(trained.out / f"checkpoint-{step}") for step in (2, 4))
    base = load_file(trained.job.base.path / "model.safetensors")
    matrices = [name for name in four if "lora_B" in name]
    assert len(matrices) == 21
    assert all(four[name].any() for name in matrices)
    moved = [name for name in four if "multi_modal_projector" in name]
    assert len(moved) == 4
    for name in moved:
        (start,) = [value for key, value in base.items() if key.endswith(name.partition("multi_modal_projector")[2])]
        assert not torch.equal(four[name], start)
    assert all(not torch.equal(two[name], four[name]) for name in four)


@pytest.mark.parametrize("name", ["checkpoint-2", "checkpoint-4", "final"])
def test_each_checkpoint_loads_and_merges_to_the_same_model(
    trained: SimpleNamespace, tmp_path: Path, name: str
) -> None:
    from tasks.merging.merge import merge_adapter

    base = trained.job.base.path
    merged = merge_adapter(base, trained.out / name, tmp_path / "merged")
    adapted = load_model(base, trained.out / name, "float32")
    batch = {
        "input_ids": torch.tensor([[1, *adapted.processor.blank_image().token_ids, 203, 298, 356]]),
        "pixel_values": torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)),
    }
    with torch.no_grad():
        expected = adapted.model(**batch).logits
        found = load_model(merged.path, dtype="float32").model(**batch).logits
        untouched = load_model(base, dtype="float32").model(**batch).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (untouched - expected).abs().max() > 1e-2


def test_same_seed_gives_the_same_bytes_and_losses(trained: SimpleNamespace, job_for: JobFor, tmp_path: Path) -> None:
    again = train(job_for(tmp_path / "training", lora_dropout=0.05), lambda line: None)
    for name in ("adapter_model.safetensors", "non_lora_trainables.bin"):
        assert sha256_of(again.path / name) == sha256_of(trained.out / "final" / name)
    curves = [
        [(entry["loss"], entry["grad_norm"]) for entry in history if "loss" in entry]
        for history in (read_json(ref.path / "trainer_state.json")["log_history"] for ref in (again, trained.ref))
    ]
    assert curves[0] == curves[1]


def test_finished_job_is_not_trained_again(trained: SimpleNamespace) -> None:
    lines: list[str] = []
    before = {path: path.stat().st_mtime_ns for path in trained.out.rglob("*")}
    assert train(trained.job, lines.append) == trained.ref
    assert lines == []
    assert {path: path.stat().st_mtime_ns for path in trained.out.rglob("*")} == before


def test_damaged_final_is_trained_again_and_not_restored_from_hard_links(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    name, out = "adapter_model.safetensors", tmp_path / "training"
    copytree(trained.out, out)
    with (out / "checkpoint-4" / name).open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\0")
    (out / "final" / name).unlink()
    (out / "final" / name).hardlink_to(out / "checkpoint-4" / name)
    lines: list[str] = []
    again = train(trained.job.model_copy(update={"out": out, "resume": True}), lines.append)
    assert "resuming from checkpoint-2" in lines
    assert sha256_of(again.path / name) == sha256_of(trained.out / "final" / name)


def test_unfinished_training_is_not_resumed_without_the_option(trained: SimpleNamespace, tmp_path: Path) -> None:
    copytree(trained.out / "checkpoint-2", tmp_path / "training" / "checkpoint-2")
    with pytest.raises(DataError, match="--resume"):
        train(trained.job.model_copy(update={"out": tmp_path / "training"}))


def test_rotation_keeps_save_total_limit_and_spares_staged_checkpoints(job_for: JobFor, tmp_path: Path) -> None:
    lines: list[str] = []
    settings = {
        **{"save_steps": 1, "save_total_limit": 1, "dataloader_num_workers": 1, "gradient_checkpointing": True},
        **{"eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 2, "max_steps": 3},
    }
    job = job_for(tmp_path / "training", tmp_path / "staging", **settings)
    ref = train(job, lines.append)
    assert names(job.out) == {"best", "checkpoint-3", "final"}
    assert names(tmp_path / "staging") == {"checkpoint-1", "checkpoint-2", "checkpoint-3"}
    assert any("step 2: validation loss " in line for line in lines)
    assert all(value.isfinite().all() for value in weights(ref.path).values())


def test_final_checkpoint_has_all_trained_weights_and_the_image_settings(job_for: JobFor, tmp_path: Path) -> None:
    settings = {
        **{"save_strategy": "no", "max_steps": -1, "num_train_epochs": 0.5, "gradient_accumulation_steps": 2},
        **{"bf16": True, "group_by_modality_length": False, "unfreeze_mm_vision_tower": True},
        **{"lr_scheduler_type": "linear", "mm_projector_lr": None, "weight_decay": 0.1},
    }
    job = job_for(tmp_path / "training", **settings)
    ref = train(job.model_copy(update={"model": ModelConfig(image_aspect_ratio="square")}), lambda line: None)
    assert ref.step == 2
    assert any("vision_tower" in name for name in weights(ref.path))
    assert all(value.isfinite().all() for value in weights(ref.path).values())
    assert read_json(ref.path / "preprocessor_config.json")["do_pad"] is False


@pytest.fixture(scope="module")
def fully_trained(job_for: JobFor, tmp_path_factory: pytest.TempPathFactory) -> CheckpointRef:
    job = job_for(tmp_path_factory.mktemp("full") / "training", lora_enable=False, learning_rate=1e-3)
    return train(job, lambda line: None)


def test_full_fine_tuning_saves_a_loadable_model(fully_trained: CheckpointRef, tiny_model_dir: Path) -> None:
    assert names(fully_trained.path) == {
        *MODEL_FILES - {"adapter_config.json", "adapter_model.safetensors", "non_lora_trainables.bin"},
        *("model.safetensors", "MANIFEST.json"),
    }
    tuned, base = (
        load_model(path, dtype="float32").model.state_dict() for path in (fully_trained.path, tiny_model_dir)
    )
    changed = {name for name in base if not torch.equal(base[name], tuned[name])}
    assert "lm_head.weight" in changed
    assert any("multi_modal_projector" in name for name in changed)
    assert not any("vision_tower" in name for name in changed)


def test_error_of_a_failed_child_quotes_its_last_lines(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training")
    # an invalid value, so that the child ends with a traceback
    broken = job.model_copy(update={"training": job.training.model_copy(update={"seed": -1})})
    with pytest.raises(TrainingError, match="Training ended with code 1: see its last lines:") as error:
        train(broken, lambda line: None)
    assert "  | " in str(error.value)


def test_base_directory_without_a_model_is_refused(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training").model_copy(update={"base": ModelRef(path=tmp_path, sha256="0")})
    with pytest.raises(UserError, match=r"holds no config\.json"):
        work(job.model_dump(mode="json"))


def test_select_layer_other_than_that_of_the_base_is_refused(job_for: JobFor, tmp_path: Path) -> None:
    job = job_for(tmp_path / "training").model_copy(update={"model": ModelConfig(mm_vision_select_layer=-1)})
    with pytest.raises(UserError, match=r"set model\.mm_vision_select_layer=-2"):
        work(job.model_dump(mode="json"))
