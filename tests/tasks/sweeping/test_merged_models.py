"""Which merged models of a sweep are removed: the sweep's own, of points that are not the best."""

from pathlib import Path

import pytest

from tasks.files import write_text
from tasks.paths import Workspace
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.merged_models import remove_spare_models
from tasks.sweeping.study import open_points

SWEEP = SweepConfig.model_validate({"search": {"training.lora_r": [2, 4, 8, 16]}, "points": 4, "sampler": "grid"})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Four runs with a merged model each, of which the first three are points of a sweep."""
    workspace = Workspace(tmp_path)
    for name in ("one", "two", "three", "somebodys"):
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


def test_all_but_the_best_of_the_sweep_are_removed(workspace: Workspace) -> None:
    assert removed(workspace, [0.2, 0.7, 0.7]) == ["one", "three"]
    assert workspace.run("two").merged.exists() and workspace.run("somebodys").merged.exists()


def test_a_lone_point_and_a_sweep_without_scores_lose_nothing(workspace: Workspace) -> None:
    assert removed(workspace, []) == [] == removed(workspace, [0.1])


def test_a_run_that_went_on_to_its_report_keeps_its_model(workspace: Workspace) -> None:
    write_text(workspace.run("one").reports / "final" / "report.html", "")
    assert removed(workspace, [0.2, 0.7, 0.1]) == ["three"]
