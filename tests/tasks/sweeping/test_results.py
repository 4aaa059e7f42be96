"""The folder of a sweep: whose it is."""

from pathlib import Path

import pytest

from tasks.errors import ConfigError, UserError
from tasks.settings import ExperimentConfig
from tasks.sweeping.config import SweepConfig
from tasks.sweeping.results import claim_folder, sweep_folder
from tasks.sweeping.search_space import at_point

CONFIG = ExperimentConfig()


def sweep_of(points: int, rank: int = 8) -> SweepConfig:
    return SweepConfig.model_validate({"search": {"training.lora_r": [rank, 64]}, "points": points})


def test_more_points_are_the_same_sweep_and_another_search_is_not(tmp_path: Path) -> None:
    claim_folder(tmp_path, CONFIG, sweep_of(4))
    claim_folder(tmp_path, CONFIG, sweep_of(8))
    before = (tmp_path / "sweep.yaml").read_text()
    for config, sweep in ((CONFIG, sweep_of(8, rank=16)), (at_point(CONFIG, {"training.seed": 1}), sweep_of(8))):
        with pytest.raises(UserError, match="sweep of other settings"):
            claim_folder(tmp_path, config, sweep)
    assert (tmp_path / "sweep.yaml").read_text() == before


@pytest.mark.parametrize("name", ["../elsewhere", "", "a" * 95])
def test_a_name_that_no_run_could_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a sweep"):
        sweep_folder(tmp_path, name)
