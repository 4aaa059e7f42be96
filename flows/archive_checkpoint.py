"""Flow archive-checkpoint: complete checkpoints of a run -> object storage. Safe to run twice and in any order."""

from pathlib import Path

from prefect import get_run_logger

from flows.decorators import flow
from tasks.storage.runs import reopen_run
from tasks.storage.steps import archive_staged_step


@flow(name="archive-checkpoint", flow_run_name="{run}: archive-checkpoint {step}")
def archive_checkpoint_flow(run: str, step: int | None = None, workspace: Path = Path("workspace")) -> list[int]:
    """Upload every complete checkpoint of a run that is not in the store yet; returns their steps.

    Events can be lost or arrive in bursts, so each run uploads all checkpoints that are waiting, not only its own.

    Args:
        run: The run's name, in the workspace or in the store.
        step: Optimizer step of the saved checkpoint. Shown in the flow run's name; all waiting checkpoints are
            uploaded.
        workspace: Folder shared by all runs.
    """
    found = reopen_run(run, workspace)
    if found is None:
        # saved on another machine or in another workspace, whose own training archives it
        get_run_logger().warning("There is no run %s in %s: nothing to archive here.", run, workspace)
        return []
    return sorted(archive_staged_step(found))
