"""A run gets a folder in the workspace and a name in the store, whatever is there already."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run, claim_store, open_run


def config(seed: int = 1) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"data": {"seed": seed}})


def claimed(workspace: Path, seed: int = 1, made_from: str = "data") -> Run:
    run = open_run(config(seed), "first", workspace)
    return claim_store(run, made_from, run.store())


def test_open_run_and_claim_store_write_the_settings(tmp_path: Path) -> None:
    run = claimed(tmp_path)
    assert run.folder.root == tmp_path / "runs" / "first"
    assert run.folder.experiment.read_text() == config().as_yaml()
    stored = (tmp_path / "store" / "first" / "experiment.yaml").read_text()
    assert stored == f"{config().as_yaml()}# made from data\n"
    assert run.store_name == "first"


def test_opening_a_run_twice_changes_nothing(tmp_path: Path) -> None:
    assert open_run(config(), "first", tmp_path) == open_run(config(), "first", tmp_path)
    assert claimed(tmp_path) == claimed(tmp_path)
    assert not (tmp_path / "runs" / "first" / "superseded").exists()
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["first"]


def test_open_run_keeps_the_settings_of_an_earlier_run_of_the_name(tmp_path: Path) -> None:
    open_run(config(1), "first", tmp_path)
    run = open_run(config(2), "first", tmp_path)
    kept = [path.read_text() for path in run.folder.superseded.glob("experiment-*.yaml")]
    assert (kept, run.folder.experiment.read_text()) == ([config(1).as_yaml()], config(2).as_yaml())


def test_other_settings_or_inputs_claim_another_name_in_the_store(tmp_path: Path) -> None:
    names = [claimed(tmp_path, *made).store_name for made in ((1, "data"), (2, "data"), (2, "other data"))]
    assert names[0] == "first"
    assert len(set(names)) == 3
    assert all(name.startswith("first-") for name in names[1:])
    assert (tmp_path / "store" / "first" / "experiment.yaml").read_text().startswith(config(1).as_yaml())
    assert claimed(tmp_path).store_name == "first"


def test_a_run_that_is_opened_again_keeps_its_name_in_the_store(tmp_path: Path) -> None:
    claimed(tmp_path)
    second = claimed(tmp_path, made_from="other data")
    assert open_run(config(), "first", tmp_path).store_name == second.store_name


def test_a_run_uses_the_configured_store(tmp_path: Path) -> None:
    settings = ExperimentConfig.model_validate({"store": {"uri": (tmp_path / "elsewhere").as_uri()}})
    run = open_run(settings, "first", tmp_path / "workspace")
    claim_store(run, "data", run.store())
    assert (tmp_path / "elsewhere" / "first" / "experiment.yaml").is_file()
    assert not (tmp_path / "workspace" / "store").exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "a\n", "x" * 101])
def test_open_run_refuses_a_name_that_cannot_be_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a run"):
        open_run(config(), name, tmp_path)
    assert not list(tmp_path.iterdir())
