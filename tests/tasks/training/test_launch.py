"""How the training process is started, and what it says to its parent."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from tasks.settings import TrainingConfig
from tasks.training.launch import launcher


def test_one_process_needs_no_launcher() -> None:
    assert launcher(TrainingConfig(deepspeed=None, nproc_per_node=1)) == ()


@pytest.mark.parametrize("settings", [{"nproc_per_node": 4}, {"deepspeed": "zero3"}])
def test_several_processes_and_deepspeed_are_started_by_torchrun(settings: dict[str, object]) -> None:
    config = TrainingConfig.model_validate(settings)
    processes = str(config.nproc_per_node)
    assert launcher(config) == ("-m", "torch.distributed.run", "--nproc-per-node", processes, "--standalone")


def test_several_machines_use_the_rendezvous_endpoint() -> None:
    config = TrainingConfig(nnodes=3, node_rank=2, nproc_per_node=4, rdzv_endpoint="gpu-0:29400")
    command = " ".join(launcher(config))
    assert "--nnodes 3 --node-rank 2 --rdzv-backend static --rdzv-endpoint gpu-0:29400" in command
    assert "--nproc-per-node 4" in command
    assert "--standalone" not in command


@pytest.mark.parametrize(
    "settings", [{"nnodes": 2}, {"nnodes": 2, "rdzv_endpoint": "gpu-0"}, {"node_rank": 1}, {"nnodes": 0}]
)
def test_incomplete_rendezvous_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(settings)


def test_starting_imports_neither_torch_nor_prefect() -> None:
    code = "import sys, tasks.training.launch\nsys.exit(bool({'torch', 'prefect', 'transformers'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
