"""A sweep of a very small experiment, killed twice: its leaderboard matches the reports."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from support.locations import REPO

from tasks.files import read_json, write_text
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import SweepConfig

# many short processes, one after the other: on a machine that others use, minutes
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEARCH = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "training.lora_r": [2, 4]}
POINTS = 3
PROGRAM = """
import sys
from pathlib import Path
from flows.embedded import prepare_prefect
prepare_prefect()
from deployments.sweeps import load_sweep
from flows.run_sweep import run_sweep_flow
config, sweep = load_sweep(Path(sys.argv[1]))
run_sweep_flow(config, sweep, "small", Path(sys.argv[2]))
"""


def finished_points(folder: Path) -> int:
    from tasks.sweeping.study import open_points

    with open_points(folder, sweep_of()) as points:
        return len(points.finished())


def sweep_of(**changes: object) -> SweepConfig:
    return SweepConfig.model_validate({"search": SEARCH, "points": POINTS, "sampler": "random", **changes})


@pytest.fixture(scope="module")
def swept(
    prefect_server: Path, small_experiment: Callable[..., ExperimentConfig], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimpleNamespace]:
    """A sweep of three points whose process was killed in its first and in its second training."""
    from flows.run_sweep import run_sweep_flow

    root = tmp_path_factory.mktemp("sweep")
    # questions alone: scoring captions starts Java each time
    data = {"sources": ["LR", "DOTA"], "sample": {"scenes": 80, "image_size": 48}, "train": 0.4, "test": 0.2}
    config = small_experiment(data=data, training={"max_steps": 3}, evaluation={"gallery": 2})
    write_text(root / "config.yaml", config.as_yaml())
    described = {"preset": str(root / "config.yaml"), **sweep_of().model_dump(mode="json")}
    write_text(root / "sweep.yaml", yaml.safe_dump(described))
    killed = [kill_in_training(root, number) for number in (1, 2)]
    result = run_sweep_flow(config, sweep_of(), "small", root / "workspace")
    yield SimpleNamespace(result=result, config=config, workspace=root / "workspace", killed=killed)


def environment() -> dict[str, str]:
    """Another process with the server of these tests."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH

    settings = (PREFECT_API_URL, PREFECT_HOME, PREFECT_LOCAL_STORAGE_PATH)
    return {**os.environ, **{setting.name: str(setting.value()) for setting in settings}, "PYTHONPATH": str(REPO)}


def kill_in_training(root: Path, number: int) -> tuple[int, list[str]]:
    """Start the sweep and kill it as soon as its `number`-th training has logged its first step."""
    arguments = [sys.executable, "-c", PROGRAM, str(root / "sweep.yaml"), str(root / "workspace")]
    lines: list[str] = []
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
    ) as it:
        assert it.stdout
        for line in it.stdout:
            lines.append(line)
            if "step 1/3: loss" in line and any(f"Point {number} of {POINTS}" in each for each in lines):
                it.send_signal(signal.SIGKILL)
                break
    assert it.returncode == -signal.SIGKILL, "".join(lines[-30:])
    return finished_points(root / "workspace" / "sweeps" / "small"), lines


def test_a_killed_sweep_continues_with_the_interrupted_point(swept: SimpleNamespace) -> None:
    assert [finished for finished, _ in swept.killed] == [0, 1]
    assert finished_points(swept.result.folder) == POINTS
    runs = {path.name for path in (swept.workspace / "runs").iterdir()}
    assert runs == {row.run for row in swept.result.rows} and len(runs) == POINTS


def test_a_killed_sweep_tries_the_same_points_as_an_uninterrupted_one(swept: SimpleNamespace, tmp_path: Path) -> None:
    from tasks.sweeping.study import open_points

    with open_points(tmp_path / "small", sweep_of()) as points:
        drawn = []
        while (trial := points.next()) is not None:
            drawn.append(points.values_of(trial))
            points.score(trial, 0.0)
    with open_points(swept.result.folder, sweep_of()) as points:
        assert [trial.params for trial in points.finished()] == drawn


def test_the_leaderboard_matches_scores_computed_from_the_reports(swept: SimpleNamespace) -> None:
    found = read_json(swept.result.folder / "leaderboard.json")
    reference = read_json(swept.result.folder / "objective.json")
    rows = found["rows"]
    scores = []
    for row in rows:
        metrics = read_json(swept.workspace / "runs" / row["run"] / "validation/reports/final/metrics.json")
        values = {source: each["CIDEr"] for source, each in metrics["captioning"].items()}
        values |= {source: each["accuracy"] for source, each in metrics["vqa"].items()}
        parts = [(values[source] - each["value"]) / each["error"] for source, each in reference["sources"].items()]
        scores.append(sum(parts) / len(parts) ** 0.5)
    assert scores == pytest.approx([row["score"] for row in rows]) and scores == sorted(scores, reverse=True)
    # the first point is the reference
    assert min(map(abs, scores)) < 1e-9 and found["reference"] == reference
    assert rows[0]["verdict"] == "best" and {row["verdict"] for row in rows[1:]} <= {"tie", "worse"}
    assert found["chosen"]["run"] == rows[0]["run"]


def test_points_are_selected_on_validation_and_only_the_best_is_tested(
    swept: SimpleNamespace,
) -> None:
    runs = swept.workspace / "runs"
    asked = [row.run for row in swept.result.rows if (runs / row.run / "predictions" / "final").exists()]
    assert asked == [swept.result.rows[0].run]
    best = runs / asked[0]
    validation = read_json(best / "validation" / "predictions" / "final" / "final.json")
    sets = swept.workspace / "data" / "sets"
    assert [record["id"] for record in validation] == [record["id"] for record in read_json(sets / "data_val.json")]
    assert swept.result.report.path == best / "reports" / "final"


def test_the_best_configuration_is_a_preset_of_the_same_experiment(swept: SimpleNamespace) -> None:
    from deployments.configuration import load_config
    from tasks.sweeping.search_space import at_point, name_of_point

    best = swept.result.rows[0]
    config = load_config(str(swept.result.best))
    assert config == at_point(swept.config, best.settings)
    assert name_of_point("small", config) == best.run


def test_the_page_needs_no_network_and_shows_every_point(swept: SimpleNamespace) -> None:
    page = (swept.result.folder / "leaderboard.html").read_text()
    assert all(row.run in page for row in swept.result.rows)
    assert page.count("<polyline") == POINTS
    assert "http://" not in page and "https://" not in page and "<script" not in page


def test_only_the_best_keeps_its_merged_model(swept: SimpleNamespace) -> None:
    kept = [path.parent.name for path in (swept.workspace / "runs").glob("*/merged")]
    assert kept == [swept.result.rows[0].run]
    assert list((swept.workspace / "runs").glob("*/.merged.*.part")) == []


def test_the_example_of_the_docs_runs_and_a_repeated_sweep_tries_no_point(
    swept: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from deployments.sweeps import load_sweep

    docs = (REPO / "docs" / "sweeps.md").read_text(encoding="utf-8")
    described, program = (docs.split(f"```{kind}\n")[1].split("```")[0] for kind in ("yaml", "python"))
    write_text(tmp_path / "sweep.yaml", described)
    config, sweep = load_sweep(tmp_path / "sweep.yaml")
    assert config.training.num_train_epochs == 4 and sweep.points == 8
    # what it makes is made already: the sweep of this test
    monkeypatch.chdir(swept.workspace.parent)
    before = trained(swept.workspace)
    names: dict[str, Any] = {}
    exec(compile(program.replace('"rates"', '"small"'), "sweeps.md", "exec"), names)
    assert str(swept.result.best) in capsys.readouterr().out
    assert names["found"] == swept.result and list(names["found"].leaderboard.score) == [
        row.score for row in swept.result.rows
    ]
    assert trained(swept.workspace) == before


def trained(workspace: Path) -> dict[Path, int]:
    """When the checkpoints were written."""
    return {path: path.stat().st_mtime_ns for path in workspace.glob("runs/*/training/*/COMPLETE.json")}


def test_the_command_again_tries_no_point_and_prints_the_leaderboard(swept: SimpleNamespace) -> None:
    before = trained(swept.workspace)
    ended = subprocess.run(
        [sys.executable, "-m", "flows.cli", "sweep", "sweep.yaml", "--name", "small"],
        cwd=swept.workspace.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.rstrip().split("\n")
    assert lines[0].split()[:2] == ["learning_rate", "lora_r"] and lines[1].endswith("best")
    assert len(lines[1 : lines.index(next(line for line in lines if "report of the best" in line))]) == POINTS
    assert lines[-1] == str(swept.result.folder)
    assert f"{POINTS} of {POINTS} points were tried before" in ended.stderr and "Flow run" not in ended.stderr
    assert trained(swept.workspace) == before
