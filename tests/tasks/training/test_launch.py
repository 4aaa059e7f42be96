"""How the training process is started, and what it says to its parent."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.errors import ConfigError
from tasks.files import read_json
from tasks.settings import TrainingConfig
from tasks.training.launch import launcher
from tasks.training.worker_output import saved_line, saved_step, stopped_line, stopped_step
from tasks.training.zero_config import zero_config


def test_one_process_needs_no_launcher() -> None:
    assert launcher(TrainingConfig(deepspeed=None, nproc_per_node=1)) == ()


@pytest.mark.parametrize("settings", [{"nproc_per_node": 4}, {"deepspeed": "zero3"}])
def test_several_processes_and_deepspeed_are_started_by_torchrun(settings: dict[str, object]) -> None:
    config = TrainingConfig.model_validate(settings)
    processes = str(config.nproc_per_node)
    assert launcher(config) == ("-m", "torch.distributed.run", "--nproc-per-node", processes, "--standalone")


def test_several_machines_meet_where_they_are_told() -> None:
    config = TrainingConfig(nnodes=3, node_rank=2, nproc_per_node=4, rdzv_endpoint="gpu-0:29400")
    command = " ".join(launcher(config))
    assert "--nnodes 3 --node-rank 2 --rdzv-backend static --rdzv-endpoint gpu-0:29400" in command
    assert "--nproc-per-node 4" in command
    assert "--standalone" not in command


@pytest.mark.parametrize(
    "settings", [{"nnodes": 2}, {"nnodes": 2, "rdzv_endpoint": "gpu-0"}, {"node_rank": 1}, {"nnodes": 0}]
)
def test_machines_that_cannot_meet_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(settings)


def test_the_line_of_a_complete_checkpoint_is_understood() -> None:
    assert saved_step(saved_line(300)) == 300
    assert saved_step(saved_line(300) + "\n") == 300


@pytest.mark.parametrize("line", ["", "checkpoint complete: final", "step 300/300: loss 1", "x " + saved_line(3)])
def test_other_lines_announce_nothing(line: str) -> None:
    assert saved_step(line) is None


def test_the_line_of_an_end_before_its_time_is_understood() -> None:
    assert stopped_step(stopped_line(7)) == 7
    assert stopped_step(saved_line(7)) is None


@pytest.mark.parametrize("name", ["zero2", "zero3", "zero3_offload"])
def test_each_deepspeed_configuration_is_of_its_stage(name: str) -> None:
    settings = read_json(Path(zero_config(name)))
    assert settings["zero_optimization"]["stage"] == int(name[4])
    assert ("offload_param" in settings["zero_optimization"]) == name.endswith("offload")


def test_an_unknown_deepspeed_configuration_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of zero2, zero3, zero3_offload"):
        zero_config("zero9")


def test_starting_imports_neither_torch_nor_prefect() -> None:
    code = "import sys, tasks.training.launch\nsys.exit(bool({'torch', 'prefect', 'transformers'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
