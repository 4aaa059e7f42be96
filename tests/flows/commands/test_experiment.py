"""`rsvlm run`, `train` and `config` from the outside: exit codes, one sentence, nothing half-written."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prefect.exceptions import CancelledRun
from support.command_line import rsvlm

from deployments.configuration import default_name, load_config
from flows.commands.experiment import resume_hint
from tasks.data.synthetic.dataset import draw_sample
from tasks.errors import Interrupted, RunStopped
from tasks.settings import ExperimentConfig, SampleConfig
from tasks.storage.runs import require_run_name


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of the user's."""
    draw_sample(tmp_path / "data", SampleConfig(scenes=20, image_size=48))
    return tmp_path / "data"


def test_config_shows_a_preset_with_its_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("config", "demo", "--set", "training.lora_r=8") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["training"]["lora_r"] == 8
    assert shown["model"]["base"] == "tiny"


def test_a_repeated_key_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("training:\n  lora_r: 4\ndata:\n  seed: 1\ntraining:\n  seed: 2\n")
    assert rsvlm("config", tmp_path / "mine.yaml") == 2
    assert "mine.yaml is not valid YAML: training is given twice at line 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "name"), [("mine.YML", "mine"), ("my süß run.yaml", "my-s-run"), ("_-.yaml", "experiment")]
)
def test_a_file_with_any_name_gives_a_valid_run_name(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_text("training:\n  lora_r: 4\n")
    config = load_config(str(tmp_path / file))
    assert default_name(str(tmp_path / file), config) == name
    require_run_name(name)


def test_the_output_of_config_is_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("config", "llava-1.5-7b-lora") == 0
    shown = capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text(shown)
    assert rsvlm("config", tmp_path / "mine.yaml") == 0
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize("command", ["run", "train", "config"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "nonsense is neither a preset nor a YAML file"),
        (
            ["demo", "--set", "training.lora_rank=8"],
            "training.lora_rank is not a setting: did you mean training.lora_r?",
        ),
        (["demo", "--set", "training.lora_r=0"], "training.lora_r: Input should be greater than or equal to 1; got 0."),
        (["demo", "--set", "lora_r"], "--set lora_r: write it as section.name=value."),
        (["demo", "--set", "data.sources=NWPU"], "data.sources: Input should be a list, written [A,B]; got 'NWPU'."),
        (
            ["demo", "--set", "store.uri=/a"],
            "store.uri: got '/a', which does not match: file:///folder or s3://bucket/",
        ),
    ],
)
def test_a_wrong_configuration_is_reported_in_one_sentence(
    command: str, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsvlm(command, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {sentence}")
    assert error.count("\n") == 1


def test_incompatible_settings_are_reported_without_the_rest_of_the_section(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert rsvlm("config", "demo", "--set", "training.nnodes=2") == 2
    assert capsys.readouterr().err == "error: training: nnodes is 2: set rdzv_endpoint to HOST:PORT of machine 0.\n"
    assert rsvlm("config", "demo", "--set", "archive.keep.best=true") == 2
    assert capsys.readouterr().err.endswith("only with training.eval_strategy steps or epoch.\n")


def test_spaces_around_the_sign_of_an_override_are_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("config", "demo", "--set", "training.lora_r = 8") == 0
    assert yaml.safe_load(capsys.readouterr().out)["training"]["lora_r"] == 8


@pytest.mark.parametrize("command", ["run", "train"])
def test_an_invalid_workspace_is_reported_before_a_server_starts(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert rsvlm(command, "demo", "--workspace", tmp_path / "file" / "workspace") == 2
    told = f"error: {tmp_path / 'file'} is not a writable folder: choose another --workspace.\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("command", ["run", "train", "preflight"])
@pytest.mark.parametrize("name", ["a b", "../a", ".a", "a" * 101])
def test_an_invalid_name_is_reported_before_a_server_starts(
    command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsvlm(command, "demo", "--name", name, "--workspace", tmp_path / "workspace") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {name!r} cannot name a run: ") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_data_folder_is_reported_before_a_server_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = tmp_path / "workspace"
    assert rsvlm("run", "real-cpu", "--set", f"data.root={tmp_path}/none", "--workspace", workspace) == 2
    assert "/none is not a folder: set data.root" in capsys.readouterr().err
    assert not workspace.exists()


@pytest.mark.slow
def test_a_broken_image_ends_a_run_with_one_sentence_and_nothing_half_written(
    data: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path: Path
) -> None:
    image = next((data / "imagenes").rglob("*.jpg"))
    image.write_bytes(b"no image")
    (tmp_path / "mine.yaml").write_text(small_experiment(data={"root": str(data)}).as_yaml())
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "mine.yaml", "--workspace", "workspace"],
        cwd=tmp_path,
        env={**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert f"error: 1 image(s) cannot be read, first {image}" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert not (data / "sets").exists()
    assert not [path for path in data.parent.rglob("*.part")]
    left = {path.name for path in (tmp_path / "workspace" / "runs" / "mine").iterdir()}
    assert left == {"experiment.yaml", "logs", ".owner.lock", ".children.lock"}


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "RunStopped", "CancelledRun", "ValueError"])
def test_a_stopped_run_ends_with_the_command_that_resumes(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raised = {
        "KeyboardInterrupt": KeyboardInterrupt(),
        "RunStopped": RunStopped("stopped"),
        "CancelledRun": CancelledRun("cancelled"),
        "ValueError": ValueError("a bug"),
    }[error]
    monkeypatch.setattr("flows.commands.experiment.stop_requested", lambda: True)
    monkeypatch.setattr("flows.commands.experiment.atexit.register", lambda leave: None)
    options = argparse.Namespace(arguments=["run", "demo"])
    expected = ValueError if error == "ValueError" else Interrupted
    said = r"a bug|checkpoint-4 is saved; continue with `rsvlm run demo`"
    with pytest.raises(expected, match=said), resume_hint(options, lambda: "checkpoint-4 is saved"):
        raise raised
