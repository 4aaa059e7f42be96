"""The folder of a sweep, and the merged models of its points."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError, UserError
from tasks.files import write_text
from tasks.paths import Workspace
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.results import claim_folder, remove_spare_models, sweep_folder
from tasks.sweeping.search_space import at_point
from tasks.sweeping.study import open_points

CONFIG = ExperimentConfig()


def sweep_of(points: int, rank: int = 8) -> SweepConfig:
    return SweepConfig.model_validate({"search": {"training.lora_r": [rank, 64]}, "points": points})


def test_a_sweep_may_get_more_points_but_no_other_search(tmp_path: Path) -> None:
    claim_folder(tmp_path, CONFIG, sweep_of(4))
    claim_folder(tmp_path, CONFIG, sweep_of(8))
    before = (tmp_path / "sweep.yaml").read_text()
    for config, sweep in ((CONFIG, sweep_of(8, rank=16)), (at_point(CONFIG, {"training.seed": 1}), sweep_of(8))):
        with pytest.raises(UserError, match="sweep with other settings"):
            claim_folder(tmp_path, config, sweep)
    assert (tmp_path / "sweep.yaml").read_text() == before


@pytest.mark.parametrize("name", ["../elsewhere", "", "a" * 95])
def test_a_name_that_no_run_could_have_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a sweep"):
        sweep_folder(tmp_path, name)


SWEEP = SweepConfig.model_validate({"search": {"training.lora_r": [2, 4, 8, 16]}, "points": 4, "sampler": "grid"})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Four runs with a merged model each; the first three are points of a sweep."""
    workspace = Workspace(tmp_path)
    for name in ("one", "two", "three", "other"):
        write_text(workspace.run(name).merged / "model.safetensors", "weights")
    return workspace


def removed(workspace: Workspace, scores: list[float]) -> list[str]:
    with open_points(workspace.root / "sweeps" / "a", SWEEP) as points:
        for name, score in zip(("one", "two", "three"), scores, strict=False):
            trial = points.next()
            assert trial
            points.name(trial, name)
            points.score(trial, score)
        found = [folder.parent.name for folder in remove_spare_models(points, workspace)]
    assert not any(workspace.run(name).merged.exists() for name in found)
    assert list(workspace.root.glob("runs/*/.*")) == []
    return found


def test_only_the_best_point_keeps_its_merged_model(workspace: Workspace) -> None:
    assert removed(workspace, [0.2, 0.7, 0.7]) == ["one", "three"]
    assert workspace.run("two").merged.exists() and workspace.run("other").merged.exists()


def test_no_model_is_removed_without_a_worse_point(workspace: Workspace) -> None:
    assert removed(workspace, []) == [] == removed(workspace, [0.1])


def test_a_run_with_a_test_report_keeps_its_merged_model(workspace: Workspace) -> None:
    write_text(workspace.run("one").reports / "final" / "report.html", "")
    assert removed(workspace, [0.2, 0.7, 0.1]) == ["three"]
