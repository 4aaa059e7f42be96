"""Flow archive-checkpoint: complete checkpoints of a run -> object storage. Safe to run twice and in any order."""

from pathlib import Path

from prefect import get_run_logger

from flows.cancelling import flow
from tasks.storage.runs import reopen_run
from tasks.storage.steps import archive_staged_step


@flow(name="archive-checkpoint", flow_run_name="archive-checkpoint-{run}-{step}")
def archive_checkpoint_flow(run: str, step: int | None = None, workspace: Path = Path("workspace")) -> list[int]:
    """Take every complete checkpoint of a run that is only local to the store; returns their steps.

    The event of a checkpoint is only the alarm: all that wait are taken, so that of a burst of events any one will
    do, and none that was lost is missed.

    Args:
        run: The run's name, in the workspace or in the store.
        step: The step of the checkpoint that was announced; it says why this was started, and limits nothing.
        workspace: The folder that all runs share.
    """
    found = reopen_run(run, workspace)
    if found is None:
        # announced by a run of another machine or workspace, whose own training archives it
        get_run_logger().warning("There is no run %s in %s: nothing to archive here.", run, workspace)
        return []
    return sorted(archive_staged_step(found))
