"""A small data set and jobs to train on it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.older_libraries import older

from tasks.files import write_json
from tasks.model.loading import Processor, load_processor
from tasks.records import DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.training.job import TrainingJob
from tasks.training.launch import CPU_ENVIRONMENT, launcher

__all__ = ["older"]

SETTINGS: dict[str, Any] = {
    "lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "mm_projector_lr": 1e-3, "learning_rate": 1e-2,
    "warmup_ratio": 0, "max_steps": 4, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1,
    "save_steps": 2, "save_total_limit": None, "bf16": False, "tf32": False, "use_cpu": True,
    "gradient_checkpointing": False, "dataloader_num_workers": 0, "seed": 3,
}  # fmt: skip
WORDS = ("airport", "harbour", "forest", "beach", "river", "farmland")


def make_dataset(folder: Path, records: int) -> DatasetRef:
    """Sets of `records` records to train on and 4 to validate with, each with a different image."""
    (folder / "images").mkdir(parents=True)
    made = []
    for number in range(records):
        name = f"{number}.png"
        image = Image.linear_gradient("L").resize((40, 32)).rotate(90 * number)
        Image.merge("RGB", [image, image.point(lambda v, n=number: v * n // 30), image]).save(folder / "images" / name)
        turns = [
            ("human", "<image>\nWhat is the topic of this image?"),
            ("gpt", WORDS[number % 6] + " and sea" * number),
        ]
        made.append(
            {"id": f"NWPU_{number}", "image": name, "conversations": [{"from": r, "value": v} for r, v in turns]}
        )
    for name, chosen in (("data_train", made), ("data_val", made[:4])):
        (folder / f"{name}.json").write_text(json.dumps(chosen))
    return DatasetRef(
        path=folder, sha256="sets", images=folder / "images", images_sha256="images", records={"train": records}
    )


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetRef:
    return make_dataset(tmp_path_factory.mktemp("data") / "sets", 24)


@pytest.fixture(scope="session")
def job_for(tiny_model_dir: Path, dataset: DatasetRef) -> Callable[..., TrainingJob]:
    """Build a job for the folder `out`; further arguments are training settings."""

    def build(out: Path, staging: Path | None = None, resume: bool = False, **settings: Any) -> TrainingJob:
        return TrainingJob(
            run="test",
            base=ModelRef(path=tiny_model_dir, sha256="base"),
            dataset=dataset,
            model=ModelConfig(),
            training=TrainingConfig.model_validate({**SETTINGS, **settings}),
            out=out,
            staging=staging,
            resume=resume,
        )

    return build


@pytest.fixture(scope="session")
def kill_at() -> Callable[[TrainingJob, str], None]:
    """Train in child processes, and kill all of them when one prints `sign`."""

    def kill(job: TrainingJob, sign: str) -> None:
        file = job.out.with_suffix(".json")
        write_json(file, job.model_dump(mode="json"))
        command = [
            sys.executable,
            "-u",
            *launcher(job.training),
            "-m",
            "tasks.training.worker",
            "--config",
            str(file),
        ]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = {**os.environ, **CPU_ENVIRONMENT}
        with subprocess.Popen(command, start_new_session=True, env=environment, **output) as child:
            assert child.stdout is not None
            assert any(sign in line for line in child.stdout), f"{sign} was never printed"
            os.killpg(child.pid, signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL

    return kill


@pytest.fixture(scope="session")
def processor(tiny_model_dir: Path) -> Processor:
    return load_processor(tiny_model_dir)
