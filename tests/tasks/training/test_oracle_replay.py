"""The LoRA run of the LLaVA reference, replayed through our trainer: same losses, rates, gradients and weights."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from support.locations import ORACLE
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback

from tasks.files import read_json
from tasks.model.llava.tensor_names import NAMES, canonical_name
from tasks.records import DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.training.arguments import training_arguments
from tasks.training.job import TrainingJob
from tasks.training.worker import build_trainer

RUN = ORACLE / "lora"
# from `args` in RUN/trace.json
SETTINGS: dict[str, Any] = {
    "lora_r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "mm_projector_lr": 2e-5, "learning_rate": 2e-4,
    "weight_decay": 0.0, "warmup_ratio": 0.03, "lr_scheduler_type": "cosine", "num_train_epochs": 1,
    "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "model_max_length": 2048, "save_steps": 5,
    "save_total_limit": None, "group_by_modality_length": False, "bf16": False, "tf32": False, "use_cpu": True,
    "gradient_checkpointing": False, "dataloader_num_workers": 0, "seed": 42,
}  # fmt: skip


def canonical(name: str) -> str:
    return canonical_name(name.replace(".default.", "."))


def golden(name: str) -> dict[str, torch.Tensor]:
    return {canonical(key): value for key, value in load_file(RUN / f"{name}.safetensors").items()}


def trained(model: Any) -> dict[str, torch.Tensor]:
    """Copies of the trained parameters, by canonical name."""
    return {canonical(name): p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


class Recorder(TrainerCallback):
    """Records the weights after each step, and its learning rates."""

    def __init__(self) -> None:
        self.weights: list[dict[str, torch.Tensor]] = []
        self.rates: list[list[float]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **inside: Any) -> None:
        self.rates.append([group["lr"] for group in inside["optimizer"].param_groups])

    def on_step_end(self, args: Any, state: Any, control: Any, **inside: Any) -> None:
        self.weights.append(trained(inside["model"]))


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    if not RUN.is_dir():
        pytest.skip("golden values not present")
    folder = tmp_path_factory.mktemp("replay")
    (folder / "data_train.json").write_bytes((RUN / "train.json").read_bytes())
    (folder / "data_val.json").write_text("[]")
    job = TrainingJob(
        run="replay",
        base=ModelRef(path=ORACLE / "models" / "tiny-llava-v1.5", sha256="base"),
        dataset=DatasetRef(path=folder, sha256="s", images=RUN / "images", images_sha256="i", records={}),
        model=ModelConfig(),
        training=TrainingConfig.model_validate(SETTINGS),
        out=folder / "training",
    )
    trainer, recorder, losses = build_trainer(job, training_arguments(job)), Recorder(), []
    start = golden("initial")
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(start.pop(canonical(name)))
    assert not start
    # the reference took its samples in the order of the file
    trainer._get_train_sampler = lambda data=None: SequentialSampler(trainer.train_dataset)
    loss_of = trainer.compute_loss

    def recorded(*inside: Any, **options: Any) -> Any:
        loss = loss_of(*inside, **options)
        losses.append(float(loss.detach()))
        return loss

    trainer.compute_loss = recorded
    trainer.add_callback(recorder)
    trainer.train()
    return SimpleNamespace(trainer=trainer, recorder=recorder, losses=losses, trace=read_json(RUN / "trace.json"))


def test_loss_of_each_micro_batch_equals_the_reference(replay: SimpleNamespace) -> None:
    expected = [entry["loss"] for entry in replay.trace["micro_batches"]]
    assert replay.losses == pytest.approx(expected, abs=1e-4)


def test_logged_loss_is_the_plain_mean_of_the_micro_batches(replay: SimpleNamespace) -> None:
    logged = [entry for entry in replay.trainer.state.log_history if "loss" in entry]
    expected = [entry["loss"] for entry in replay.trace["steps"] if "loss" in entry]
    # the reference rounds to four places
    assert [entry["loss"] for entry in logged] == pytest.approx(expected, abs=2e-4)


def test_learning_rates_of_each_group_equal_the_reference(replay: SimpleNamespace) -> None:
    # the reference has a fourth group, which is empty
    expected = [[rates[0], *rates[2:]] for rates in replay.trace["lr_used_per_step"]]
    for ours, theirs in zip(replay.recorder.rates, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_gradient_norms_before_clipping_equal_the_reference(replay: SimpleNamespace) -> None:
    norms = [entry["grad_norm"] for entry in replay.trainer.state.log_history if "grad_norm" in entry]
    assert norms == pytest.approx(replay.trace["grad_norm_before_clip"], rel=1e-4)
    assert min(norms) > replay.trace["max_grad_norm"]


@pytest.mark.parametrize(("step", "name"), [(1, "after_step_1"), (2, "after_step_2"), (10, "final")])
def test_weights_after_a_step_equal_the_reference(replay: SimpleNamespace, step: int, name: str) -> None:
    ours, theirs = replay.recorder.weights[step - 1], golden(name)
    assert set(ours) == set(theirs)
    for key, expected in theirs.items():
        assert float((ours[key] - expected).norm()) <= 1e-4 * float(expected.norm()), key


def test_parameter_groups_equal_the_reference(replay: SimpleNamespace) -> None:
    groups = [group for group in json.loads((ORACLE / "optimizer_groups.json").read_text())["groups"] if group["n"]]
    names = {id(parameter): canonical(name) for name, parameter in replay.trainer.model.named_parameters()}
    for ours, theirs in zip(replay.trainer.optimizer.param_groups, groups, strict=True):
        assert {names[id(p)] for p in ours["params"]} == {canonical(name) for name in theirs["names"]}
        assert (ours["weight_decay"], ours["initial_lr"]) == (theirs["weight_decay"], theirs["lr"])
        assert (list(ours["betas"]), ours["eps"]) == (theirs["betas"], theirs["eps"])


def test_replay_changes_the_trained_weights(replay: SimpleNamespace) -> None:
    start, end = golden("initial"), replay.recorder.weights[-1]
    assert all(not torch.equal(start[name], end[name]) for name in end if "lora_B" in name or NAMES.is_projector(name))
