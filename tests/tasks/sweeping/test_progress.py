"""progress.json of a sweep: what was tried, what is being tried, and how it ended."""

from pathlib import Path

import pytest

from tasks.sweeping.config import SweepConfig
from tasks.sweeping.progress import read_progress, write_progress
from tasks.sweeping.study import Points, open_points

SWEEP = SweepConfig.model_validate({"search": {"training.lora_r": [2, 4, 8, 16]}, "points": 4, "sampler": "grid"})


def begin(points: Points, run: str) -> object:
    trial = points.next()
    assert trial
    points.values_of(trial)
    points.name(trial, run)
    return trial


def test_each_point_has_its_state_and_the_best_is_first_among_the_scored(tmp_path: Path) -> None:
    folder = tmp_path / "sweeps" / "a"
    with open_points(folder, SWEEP) as points:
        for run, score in (("one", 0.25), ("two", 0.5)):
            points.score(begin(points, run), score)  # type: ignore[arg-type]
        points.fail(begin(points, "three"), "out of memory")  # type: ignore[arg-type]
        begin(points, "four")
        write_progress(points, "score", [])
    found = read_progress(folder)
    assert found and found.total == 4 and found.running == "four"
    states = [(point.number, point.run, point.state, point.reason) for point in found.points]
    assert states == [
        (1, "one", "scored", None),
        (2, "two", "scored", None),
        (3, "three", "failed", "out of memory"),
        (4, "four", "running", None),
    ]
    assert [point.run for point in found.scored] == ["two", "one"]
    assert {point.settings["training.lora_r"] for point in found.points} == {2, 4, 8, 16}


@pytest.mark.parametrize("damaged", ["", '{"total": 1}', '{"total": 1, "po', "[1]"])
def test_a_sweep_that_was_not_begun_or_whose_file_is_damaged_has_no_progress(tmp_path: Path, damaged: str) -> None:
    assert read_progress(tmp_path) is None
    (tmp_path / "progress.json").write_text(damaged)
    # it must not keep the sweep, which writes a new file, from being started
    assert read_progress(tmp_path) is None
