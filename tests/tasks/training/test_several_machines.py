"""Two machines, here two torchruns of one process each, train one model."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.processes import free_port

from tasks.files import read_json, write_json
from tasks.training.job import TrainingJob
from tasks.training.launch import train

pytestmark = pytest.mark.slow

SETTINGS = {"per_device_train_batch_size": 2, "max_steps": 3, "save_steps": 2}
MACHINE = """
import sys
from pathlib import Path
from tasks.files import read_json
from tasks.training.launch import train
from tasks.training.job import TrainingJob
print(train(TrainingJob.model_validate(read_json(Path(sys.argv[1])))).model_dump_json())
"""


def test_two_machines_train_the_same_weights_as_one(job_for: Callable[..., TrainingJob], tmp_path: Path) -> None:
    meeting = {"nnodes": 2, "rdzv_endpoint": f"127.0.0.1:{free_port()}"}
    machines = []
    for rank in (0, 1):
        job = job_for(tmp_path / "training", node_rank=rank, **meeting, **SETTINGS)
        write_json(tmp_path / f"{rank}.json", job.model_dump(mode="json"))
        command = [sys.executable, "-c", MACHINE, str(tmp_path / f"{rank}.json")]
        machines.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    one = train(job_for(tmp_path / "one", gradient_accumulation_steps=2, **SETTINGS), lambda line: None)
    said = [machine.communicate(timeout=300)[0].splitlines() for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    # both return the result; only the first prints its progress
    assert said[0][-1] == said[1][-1]
    assert [any(line.startswith("step 3/3") for line in lines) for lines in said] == [True, False]
    final = tmp_path / "training" / "final"
    ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (final, one.path))
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, atol=1e-4, rtol=1e-2, msg=name)
    logs = [read_json(path / "trainer_state.json")["log_history"] for path in (final, one.path)]
    curves = [[entry["loss"] for entry in log if "loss" in entry] for log in logs]
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)
