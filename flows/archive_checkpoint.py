"""Flow archive-checkpoint: complete checkpoints of a run -> object storage. Safe to run twice and in any order."""

from pathlib import Path

from prefect import flow

from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.storage.steps import archive_staged_step


@flow(name="archive-checkpoint", flow_run_name="archive-checkpoint-{name}")
def archive_checkpoint_flow(config: ExperimentConfig, name: str, workspace: Path) -> list[int]:
    """Take every complete checkpoint of a run that is only local to the store; returns their steps.

    Args:
        config: The experiment.
        name: The run's name.
        workspace: The folder that all runs share.
    """
    run = open_run(config, name, workspace)
    return sorted(archive_staged_step(run))
