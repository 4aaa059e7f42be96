"""A run has its folder in the workspace and its name in the store, whatever was there before."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


def config(seed: int = 1) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"data": {"seed": seed}})


def test_a_run_writes_its_settings_in_the_workspace_and_the_store(tmp_path: Path) -> None:
    run = open_run(config(), "first", tmp_path)
    assert run.folder.root == tmp_path / "runs" / "first"
    assert run.folder.experiment.read_text() == config().as_yaml()
    assert (tmp_path / "store" / "first" / "experiment.yaml").read_text() == config().as_yaml()
    assert run.store_name == "first"


def test_opening_twice_is_the_same_as_once(tmp_path: Path) -> None:
    assert open_run(config(), "first", tmp_path) == open_run(config(), "first", tmp_path)
    assert not (tmp_path / "runs" / "first" / "superseded").exists()
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["first"]


def test_settings_of_an_earlier_run_of_the_name_are_kept(tmp_path: Path) -> None:
    open_run(config(1), "first", tmp_path)
    run = open_run(config(2), "first", tmp_path)
    kept = [path.read_text() for path in run.folder.superseded.glob("experiment-*.yaml")]
    assert (kept, run.folder.experiment.read_text()) == ([config(1).as_yaml()], config(2).as_yaml())


def test_other_settings_take_another_name_in_the_store(tmp_path: Path) -> None:
    first, second = open_run(config(1), "first", tmp_path), open_run(config(2), "first", tmp_path)
    assert second.store_name.startswith("first-")
    store = tmp_path / "store"
    assert (store / first.store_name / "experiment.yaml").read_text() == config(1).as_yaml()
    assert (store / second.store_name / "experiment.yaml").read_text() == config(2).as_yaml()
    assert open_run(config(1), "first", tmp_path).store_name == "first"


def test_the_configured_store_is_taken(tmp_path: Path) -> None:
    settings = ExperimentConfig.model_validate({"store": {"uri": (tmp_path / "elsewhere").as_uri()}})
    open_run(settings, "first", tmp_path / "workspace")
    assert (tmp_path / "elsewhere" / "first" / "experiment.yaml").is_file()
    assert not (tmp_path / "workspace" / "store").exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "a\n", "x" * 101])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a run"):
        open_run(config(), name, tmp_path)
    assert not list(tmp_path.iterdir())
