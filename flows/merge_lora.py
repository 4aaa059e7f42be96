"""Flow merge-lora: base model and checkpoint -> one merged model directory."""

from pathlib import Path

from flows.base_model import obtain_base
from flows.cancelling import flow
from flows.owning import owns_run, run_title
from tasks.merging.steps import merge_adapter_step, push_to_hub_step
from tasks.orchestration.caching import make
from tasks.records import CheckpointRef, ModelRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run, open_run
from tasks.storage.steps import archive_merged_step, fetch_checkpoint_step


@flow(name="merge-lora", flow_run_name=run_title("merge-lora-{name}"), persist_result=False)
@owns_run
def merge_lora_flow(
    config: ExperimentConfig,
    name: str = "",
    workspace: Path = Path("workspace"),
    base: ModelRef | None = None,
    checkpoint: CheckpointRef | None = None,
    step: int | None = None,
) -> ModelRef:
    """Merge a checkpoint's adapter and projector into its base model.

    With `step` in the place of `checkpoint`, the checkpoint is fetched from the store, and what is merged goes back
    there as merged-checkpoint-N.

    Args:
        config: The experiment.
        name: The run's name; empty: the deployment's, with a digest where the settings are others than its own.
        workspace: The folder that all runs share.
        base: The base model; by default the one that the configuration names.
        checkpoint: The checkpoint to merge.
        step: The step of an archived checkpoint to merge.
    """
    run = open_run(config, name, workspace)
    base = base or obtain_base(config.model, run)
    if checkpoint is not None:
        merged = _merged(config, run, base, checkpoint, run.folder.merged)
    else:
        checkpoint = fetch_checkpoint_step(run, step)
        merged = _merged(config, run, base, checkpoint, run.folder.root / f"merged-{checkpoint.path.name}")
        archive_merged_step(run, merged)
    if config.merging.push_to_hub:
        push_to_hub_step(merged, config.merging.push_to_hub)
    return merged


def _merged(config: ExperimentConfig, run: Run, base: ModelRef, checkpoint: CheckpointRef, out: Path) -> ModelRef:
    # where it is pushed to afterwards changes nothing that is made
    settings = config.merging.model_copy(update={"push_to_hub": None})
    place = (out, run.folder.superseded)
    return make(merge_adapter_step, *place, base=base, checkpoint=checkpoint, config=settings, log=run.folder.log)
