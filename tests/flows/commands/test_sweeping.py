"""`rsvlm sweep` refuses what it cannot run with one sentence, before Prefect is started."""

from pathlib import Path

import pytest
from support.command_line import rsvlm

from deployments.sweeps import load_sweep
from tasks.sweeping.results import claim_folder, sweep_folder

SWEEP = "preset: demo\nsearch: {training.lora_r: [8, 16]}\npoints: 2\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my ranks.yaml"
    path.write_text(SWEEP)
    return path


def test_a_file_that_is_no_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("sweep", tmp_path / "none.yaml", "--workspace", tmp_path / "w") == 2
    assert "none.yaml is not a file: give the YAML file of a sweep." in capsys.readouterr().err
    (tmp_path / "other.yaml").write_text("training: {lora_r: 4}\n")
    assert rsvlm("sweep", tmp_path / "other.yaml", "--workspace", tmp_path / "w") == 2
    assert "names no experiment: write `preset: demo`" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_sweep_of_the_same_name_with_another_search_is_refused(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # a name that a run may have, from the file's
    folder = sweep_folder(tmp_path / "w", "my-ranks")
    claim_folder(folder, *load_sweep(file))
    before = {path: path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file()}
    file.write_text(SWEEP.replace("16", "32"))
    assert rsvlm("sweep", file, "--workspace", tmp_path / "w") == 2
    assert "my-ranks holds a sweep with other settings: give this one another name" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "w").rglob("*") if path.is_file()} == before


def test_a_name_that_no_run_could_have_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("sweep", file, "--name", "a/b") == 2
    assert "'a/b' cannot name a sweep" in capsys.readouterr().err


def test_a_data_folder_without_records_is_refused_before_anything_is_written(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(f"{SWEEP}set: [data.root={tmp_path / 'nothing'}]\n")
    assert rsvlm("sweep", file, "--workspace", tmp_path / "w") == 2
    assert "nothing" in capsys.readouterr().err and not (tmp_path / "w").exists()
