"""`rsvlm preflight` needs no server: it exits with 0 if a run can start, and with 2 and all problems if not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.locations import REAL


def preflight(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a child process without access to the hub or a key."""
    unset = {"WANDB_API_KEY", "WANDB_MODE", "HF_HOME", "HF_HUB_CACHE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HF_HUB_OFFLINE": "1", "HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}
    command = [sys.executable, "-m", "flows.cli", "preflight", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_demo_passes_here_and_nothing_is_created(tmp_path: Path) -> None:
    # with all arguments of a run
    ended = preflight(tmp_path, "demo", "--name", "mine", "--workspace", "workspace")
    assert ended.returncode == 0, ended.stdout
    assert "ERROR" not in ended.stdout
    assert "ok       memory" in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_preset_for_real_data_passes_here(tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip("golden values not present")
    ended = preflight(tmp_path, "real-cpu", "--set", f"data.root={REAL}")
    assert ended.returncode == 0, ended.stdout
    assert "1320 records of" in ended.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_7b_run_without_gpu_base_and_data_reports_all_of_it(tmp_path: Path) -> None:
    ended = preflight(tmp_path, "llava-1.5-7b-lora", "--set", "training.nproc_per_node=4")
    assert ended.returncode == 2
    for sentence in (
        "data is not a folder: set data.root",
        "`hf download liuhaotian/llava-v1.5-7b --local-dir DIR`, then set model.base=DIR",
        "`hf download openai/clip-vit-large-patch14-336 --local-dir DIR`",
        "there is no GPU, and this model needs one",
    ):
        assert sentence in ended.stderr, sentence
    assert "problems prevent this run:" in ended.stderr and "Traceback" not in ended.stderr
    assert "Memory of each of 4 GPU(s)" in ended.stdout and "weights gathered by ZeRO-3" in ended.stdout
    assert "curves" in ended.stdout and "no key was found" in ended.stdout


def test_wrong_setting_gives_a_one_sentence_error(tmp_path: Path) -> None:
    ended = preflight(tmp_path, "demo", "--set", "training.lora_rank=8")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: training.lora_rank is not a setting: did you mean training.lora_r?")
