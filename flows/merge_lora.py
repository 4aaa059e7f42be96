"""Flow merge-lora: base model and checkpoint -> one merged model directory."""

from pathlib import Path

from prefect import flow

from tasks.merging.steps import merge_adapter_step
from tasks.records import CheckpointRef, ModelRef
from tasks.settings import ExperimentConfig
from tasks.steps import make
from tasks.storage.runs import open_run


@flow(name="merge-lora", flow_run_name="merge-lora-{name}")
def merge_lora_flow(
    config: ExperimentConfig, name: str, workspace: Path, base: ModelRef, checkpoint: CheckpointRef
) -> ModelRef:
    """Merge a checkpoint's adapter and projector into its base model.

    Args:
        config: The experiment.
        name: The run's name.
        workspace: The folder that all runs share.
        base: The base model.
        checkpoint: The checkpoint to merge.
    """
    run = open_run(config, name, workspace)
    return make(
        merge_adapter_step,
        run.folder.merged,
        run.folder.superseded,
        base=base,
        checkpoint=checkpoint,
        config=config.merging,
        log=run.folder.log,
    )
