"""Flow merge-lora: base model and checkpoint -> one merged model directory."""

from pathlib import Path

from flows.decorators import flow, owns_run, run_title
from flows.shared import obtain_base
from tasks.merging.steps import merge_adapter_step, push_to_hub_step
from tasks.orchestration.caching import make
from tasks.records import CheckpointRef, ModelRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import Run, open_run
from tasks.storage.steps import archive_merged_step, fetch_checkpoint_step


@flow(
    name="merge-lora",
    flow_run_name=run_title("{name}: merge-lora"),
    persist_result=False,
    not_in_form=("base", "checkpoint"),
)
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

    With `step` instead of `checkpoint`, the checkpoint is downloaded from the store, and the merged model is uploaded
    there as merged-checkpoint-N.

    Args:
        config: The experiment.
        name: The run's name. Empty: the preset's name, with a digest appended if settings were changed.
        workspace: Folder shared by all runs.
        base: The base model. Empty: model.base of the configuration.
        checkpoint: The checkpoint to merge.
        step: Optimizer step of the archived checkpoint to merge.
    """
    run = open_run(config, name, workspace)
    base = base or obtain_base(config.model, run)
    if checkpoint is not None:
        merged = _merge(config, run, base, checkpoint, run.folder.merged)
    else:
        checkpoint = fetch_checkpoint_step(run, step)
        merged = _merge(config, run, base, checkpoint, run.folder.root / f"merged-{checkpoint.path.name}")
        archive_merged_step(run, merged)
    if config.merging.push_to_hub:
        push_to_hub_step(merged, config.merging.push_to_hub)
    return merged


def _merge(config: ExperimentConfig, run: Run, base: ModelRef, checkpoint: CheckpointRef, out: Path) -> ModelRef:
    # the hub repository does not change the merged model
    settings = config.merging.model_copy(update={"push_to_hub": None})
    return make(
        merge_adapter_step,
        out,
        run.folder.superseded,
        base=base,
        checkpoint=checkpoint,
        config=settings,
        log=run.folder.log,
    )
