"""The preflight checks as the first task of a run."""

from pathlib import Path

import pytest

from tasks.files import digest_of, write_json
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run


def test_run_with_a_finished_training_is_not_checked_again(tmp_path: Path) -> None:
    from prefect.exceptions import MissingContextError

    from tasks.preflight.steps import preflight_step

    # missing data, which the checks would refuse
    config = ExperimentConfig.model_validate({"data": {"root": tmp_path / "none"}, "training": {"use_cpu": True}})
    run = open_run(config, "ended", tmp_path)
    write_json(run.folder.preflight, {"settings": digest_of(config.as_plain())})
    # the checks run, and then fail to log without a flow
    with pytest.raises(MissingContextError):
        preflight_step.fn(config, run)
    write_json(run.folder.training / "final" / "MANIFEST.json", {})
    preflight_step.fn(config, run)
    write_json(run.folder.preflight, {"settings": "others"})
    with pytest.raises(MissingContextError):
        preflight_step.fn(config, run)
