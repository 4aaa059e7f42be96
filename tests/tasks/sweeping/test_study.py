"""The journal of a sweep: no point is tried twice, and an interrupted one is continued."""

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import UserError
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.study import JOURNAL, open_points

SEARCH = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "steps": 3}, "training.lora_r": [2, 4]}


def sweep_of(**changes: Any) -> SweepConfig:
    return SweepConfig.model_validate({"search": SEARCH, "points": 6, **changes})


def try_points(folder: Path, sweep: SweepConfig, most: int = 100) -> list[dict[str, Any]]:
    """Score at most so many points by their learning rate; the values of all that were tried here."""
    tried: list[dict[str, Any]] = []
    with open_points(folder, sweep) as points:
        while len(tried) < most and (trial := points.next()) is not None:
            values = points.values_of(trial)
            tried.append(values)
            points.score(trial, values["training.learning_rate"])
    return tried


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_an_interrupted_sweep_tries_the_same_points(tmp_path: Path, sampler: str) -> None:
    sweep = sweep_of(sampler=sampler)
    whole = try_points(tmp_path / "whole", sweep)
    parts = try_points(tmp_path / "parts", sweep, most=2) + try_points(tmp_path / "parts", sweep)
    assert parts == whole and len(whole) == 6


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_point_is_different(tmp_path: Path, sampler: str) -> None:
    tried = try_points(tmp_path / "sweep", sweep_of(sampler=sampler))
    assert len({point["training.learning_rate"] for point in tried}) == 6


def test_a_grid_smaller_than_the_number_of_points_ends_early(tmp_path: Path) -> None:
    tried = try_points(tmp_path / "grid", sweep_of(sampler="grid", points=50))
    assert len(tried) == len({tuple(point.items()) for point in tried}) == 6


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_an_interrupted_point_is_continued_first(tmp_path: Path, sampler: str) -> None:
    sweep = sweep_of(sampler=sampler)
    with open_points(tmp_path / "sweep", sweep) as points:
        trial = points.next()
        assert trial
        values = points.values_of(trial)
    with open_points(tmp_path / "sweep", sweep) as points:
        again = points.next()
        assert again and again.number == trial.number
        assert points.values_of(again) == values


def test_an_unfinished_last_line_of_the_journal_is_cut_off(tmp_path: Path) -> None:
    try_points(tmp_path / "sweep", sweep_of(), most=2)
    with (tmp_path / "sweep" / JOURNAL).open("a") as file:
        file.write('{"op_code": 4, "worker')
    assert len(try_points(tmp_path / "sweep", sweep_of())) == 4


def test_two_processes_cannot_run_one_sweep(tmp_path: Path) -> None:
    message = "Another process is running"
    place = (tmp_path / "sweep", sweep_of())
    with open_points(*place), pytest.raises(UserError, match=message), open_points(*place):
        pass


def test_a_failed_point_counts_and_is_not_tried_again(tmp_path: Path) -> None:
    with open_points(tmp_path / "sweep", sweep_of(points=1)) as points:
        trial = points.next()
        assert trial
        points.fail(trial, "out of memory")
        assert points.next() is None
        assert points.finished()[0].user_attrs["reason"] == "out of memory"


@pytest.mark.parametrize("line", ["foreign", "[]", "{", '{"a": ' + "9" * 5000 + "}", "[" * 9999])
def test_a_damaged_journal_is_reported_with_its_line(tmp_path: Path, line: str) -> None:
    try_points(tmp_path / "sweep", sweep_of(), most=1)
    journal = tmp_path / "sweep" / JOURNAL
    first, *rest = journal.read_text().split("\n")
    journal.write_text("\n".join([first, line, *rest]))
    with pytest.raises(UserError, match=r"journal\.jsonl, line 2 is "):
        try_points(tmp_path / "sweep", sweep_of())
