"""`--resume` continues only the same training: another one is refused, and nothing is moved or overwritten."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import pytest
from support.locations import REPO

from tasks.errors import UserError
from tasks.paths import RunFolder, Workspace
from tasks.settings import ExperimentConfig

pytestmark = pytest.mark.slow
Build = Callable[..., ExperimentConfig]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Modification times of all files except locks and logs."""
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and "logs" not in path.parts
    }


@pytest.fixture(scope="module")
def trained(prefect_server: Path, small_experiment: Build, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two steps on a separate data folder."""
    from flows.train_lora import train_lora_flow
    from tasks.data.synthetic.dataset import draw_sample
    from tasks.settings import SampleConfig

    folder = tmp_path_factory.mktemp("trained")
    draw_sample(folder / "data", SampleConfig(scenes=40, image_size=48))

    def build(**changes: dict[str, Any]) -> ExperimentConfig:
        return small_experiment(**{**changes, "data": {"root": folder / "data", **changes.get("data", {})}})

    train_lora_flow(build(), "mine", folder / "workspace", resume=True)
    run = Workspace(folder / "workspace").run("mine")
    return SimpleNamespace(build=build, workspace=folder / "workspace", data=folder / "data", run=run)


def refused(trained: SimpleNamespace, config: ExperimentConfig) -> str:
    """The error of a resume with other settings."""
    from flows.train_lora import train_lora_flow

    with pytest.raises(UserError) as error:
        train_lora_flow(config, "mine", trained.workspace, resume=True)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"training": {"per_device_train_batch_size": 2}}, "training.per_device_train_batch_size was 4 and is 2"),
        ({"training": {"max_steps": 4}}, "training.max_steps was 2 and is 4"),
        ({"model": {"image_aspect_ratio": "square"}}, "model.image_aspect_ratio was pad and is square"),
        ({"data": {"train": 0.4}}, "data.train was 0.5 and is 0.4"),
    ],
)
def test_a_resume_with_other_settings_names_them_and_moves_nothing(
    trained: SimpleNamespace, change: dict[str, dict[str, Any]], named: str
) -> None:
    before = state(trained.run.root)
    assert f"was trained with other settings ({named})" in refused(trained, trained.build(**change))
    assert state(trained.run.root) == before and "experiment.yaml" in before


def test_a_resume_with_other_data_leaves_the_training_where_it_is(trained: SimpleNamespace) -> None:
    raw, before = trained.data / "instructions_raw.json", state(trained.run.training)
    records = raw.read_text()
    raw.write_text(json.dumps(json.loads(records)[1:]))
    try:
        assert "was trained with other data or another base model" in refused(trained, trained.build())
    finally:
        raw.write_text(records)
    assert state(trained.run.training) == before


def test_a_resume_with_another_base_moves_nothing(trained: SimpleNamespace, tmp_path: Path) -> None:
    from tasks.model.llava.tiny import create_tiny

    create_tiny(tmp_path / "other", ["a plane"], seed=29)
    before = state(trained.run.root)
    message = refused(trained, trained.build(model={"base": str(tmp_path / "other")}))
    sentence = f" was trained with another base model than {tmp_path / 'other'}: choose another --name"
    assert sentence in message
    assert state(trained.run.root) == before


def test_a_resume_with_the_same_base_at_another_path_continues(trained: SimpleNamespace, tmp_path: Path) -> None:
    from flows.train_lora import train_lora_flow

    moved = copytree(trained.build().model.base, tmp_path / "moved")
    before = state(trained.run.training)
    train_lora_flow(trained.build(model={"base": str(moved)}), "mine", trained.workspace, resume=True)
    assert state(trained.run.training) == before


def test_without_a_resume_a_training_with_other_settings_is_moved_aside(trained: SimpleNamespace) -> None:
    from flows.train_lora import train_lora_flow

    config, place = trained.build(), ("other", trained.workspace)
    train_lora_flow(config, *place)
    made = train_lora_flow(trained.build(training={"seed": 7}), *place)
    assert made.path == Workspace(trained.workspace).run("other").training / "final"
    assert (Workspace(trained.workspace).run("other").superseded / "training-1" / "final").is_dir()


def start(base: Path, folder: Path, *more: str) -> "subprocess.Popen[str]":
    """`rsvlm train demo` in a child process."""
    settings = [
        *("data.sources=[LR]", "data.sample.scenes=40", "data.sample.image_size=48", "data.train=0.5", "data.test=0.5"),
        *("training.lora_r=4", "training.lora_alpha=8", "training.save_steps=1000", "training.max_steps=300"),
        # no log line reports the training until long after it is interrupted
        *(f"model.base={base}", "training.logging_steps=300", *more),
    ]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "flows.cli",
                "train",
                "demo",
                "-v",
                "--name",
                "cut",
                "--workspace",
                str(folder / "w"),
            ),
            *(part for setting in settings if "=" in setting for part in ("--set", setting)),
            *(option for option in settings if "=" not in option),
        ],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": REPO},
        env={**kept, "PREFECT_HOME": str(folder / "home"), "COLUMNS": "1000"},
    )


def interrupt(process: "subprocess.Popen[str]", sign: str) -> str:
    """Send SIGTERM when a process prints a sign; returns its output."""
    said, sent = "", False
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if sign in line and not sent:
                process.send_signal(signal.SIGTERM)
                sent = True
    assert process.returncode == 2, said
    return said


def test_an_interrupted_training_resumes_only_with_its_own_settings(tiny_model_dir: Path, tmp_path: Path) -> None:
    said = interrupt(start(tiny_model_dir, tmp_path, "training.per_device_train_batch_size=4"), "first step done")
    run = RunFolder(tmp_path / "w" / "runs" / "cut")
    (saved,) = (path.name for path in run.training.glob("checkpoint-*"))
    assert f"error: Training cancelled, {saved} saved: " in said
    before = state(run.root)
    other = start(tiny_model_dir, tmp_path, "training.per_device_train_batch_size=2", "--resume")
    told, _ = other.communicate()
    assert other.returncode == 2
    assert told == (
        f"error: {run.training / saved} was trained with other settings (training.per_device_train_batch_size was 4 "
        "and is 2): choose another --name, or use the same settings again.\n"
    )
    assert state(run.root) == before
    same = start(tiny_model_dir, tmp_path, "training.per_device_train_batch_size=4", "--resume")
    assert f"resuming from {saved}" in interrupt(same, "first step done")
