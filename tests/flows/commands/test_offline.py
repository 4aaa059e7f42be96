"""A node without a network: a whole experiment from folders alone, as the 7B presets name their models."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import yaml
from support.files import copy_writable
from support.locations import ORACLE, REPO

PRESET = REPO / "deployments" / "presets" / "llava-1.5-7b-lora.yaml"
MODELS = {"llava-v1.5-7b": "tiny-llava-v1.5", "clip-vit-large-patch14-336": "tiny-clip-vit-56"}
# nothing listens there: any request to the network is refused at once
NOWHERE = "http://127.0.0.1:9"
SMALL: dict[str, dict[str, Any]] = {
    "data": {"root": None, "sample": {"scenes": 24, "image_size": 48}, "train": 0.5, "test": 0.5},
    "training": {
        **{"lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "learning_rate": 1e-2, "mm_projector_lr": 1e-3},
        **{"max_steps": 2, "save_steps": 1, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1},
        **{"warmup_ratio": 0, "bf16": False, "tf32": False, "use_cpu": True, "deepspeed": None, "report_to": []},
        **{"gradient_checkpointing": False, "dataloader_num_workers": 0},
    },
    "inference": {"max_new_tokens": 2},
    "evaluation": {"gallery": 4},
}


@pytest.mark.slow
@pytest.mark.skipif(not ORACLE.is_dir(), reason="golden values not present")
def test_an_experiment_runs_offline_from_folders(tmp_path: Path) -> None:
    for name, source in MODELS.items():
        copytree(ORACLE / "models" / source, tmp_path / "models" / name, copy_function=copy_writable)
    file = tmp_path / "models" / "llava-v1.5-7b" / "config.json"
    preset = yaml.safe_load(PRESET.read_text())
    file.write_text(json.dumps({**json.loads(file.read_text()), "mm_vision_tower": preset["model"]["vision_tower"]}))
    preset["model"]["base"] = str(file.parent)
    settings = {**preset, **{section: {**preset.get(section, {}), **values} for section, values in SMALL.items()}}
    (tmp_path / "offline.yaml").write_text(yaml.safe_dump(settings))
    for command in ("preflight", "run"):
        ended = _offline(tmp_path, command, "offline.yaml", "--name", "offline")
        assert ended.returncode == 0, ended.stdout + ended.stderr
    report = Path(ended.stdout.splitlines()[-1]) / "final" / "metrics.json"
    scores = json.loads(report.read_text())["captioning"]
    assert scores and all(values["METEOR"] is not None for values in scores.values())


def _offline(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    unset = {"HF_HUB_CACHE", "WANDB_API_KEY"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "HF_ENDPOINT": NOWHERE}
    environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    environment |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    environment |= {"HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}
    # on a machine with much else to do
    environment |= {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600"}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
