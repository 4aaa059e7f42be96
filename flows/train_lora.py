"""Flow train-lora: base model and sets -> checkpoints, archived as they are saved -> the final checkpoint."""

from pathlib import Path

from flows.decorators import flow, owns_run, run_title
from flows.prepare_data import prepare_data_flow
from flows.score_checkpoint import score_remaining
from flows.shared import obtain_base
from tasks.orchestration.caching import make
from tasks.paths import FINAL, Workspace
from tasks.preflight.steps import preflight_step
from tasks.progress import BASE_MODEL, CHECKS, DATA, TRAINING, at_step
from tasks.records import CheckpointRef, DatasetRef, ModelRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.storage.steps import claim_store_step
from tasks.training.settings_record import require_same_settings
from tasks.training.steps import train_adapter


@flow(
    name="train-lora",
    flow_run_name=run_title("{name}: train-lora"),
    persist_result=False,
    not_in_form=("dataset", "base", "resume"),
)
@owns_run
def train_lora_flow(
    config: ExperimentConfig,
    name: str = "",
    workspace: Path = Path("workspace"),
    dataset: DatasetRef | None = None,
    base: ModelRef | None = None,
    resume: bool | None = None,
) -> CheckpointRef:
    """Fine-tune the base model in a child process; an unfinished training with the same settings is resumed.

    Args:
        config: The experiment.
        name: The run's name. Empty: the preset's name, with a digest appended if settings were changed.
        workspace: Folder shared by all runs.
        dataset: Prepared sets. Empty: prepare them first.
        base: The base model. Empty: model.base of the configuration.
        resume: How to treat an unfinished training in the run's folder. Empty: resume it if the settings are the same,
            else move it aside. On: refuse other settings. Off: refuse the same settings.
    """
    if resume:
        # before experiment.yaml and the sets of the run are replaced by those of other settings
        require_same_settings(Workspace(workspace.absolute()).run(name).training, config)
    run = open_run(config, name, workspace).model_copy(update={"resume": resume})
    if dataset is None:
        with at_step(CHECKS):
            preflight_step(config, run)
        with at_step(DATA):
            dataset = prepare_data_flow(config, name, workspace)
    if base is None:
        with at_step(BASE_MODEL):
            base = obtain_base(config.model, run)
    with at_step(TRAINING):
        claimed = claim_store_step(run, dataset, base)
        trained = make(
            train_adapter,
            run.folder.training,
            run.folder.superseded,
            result=run.folder.training / FINAL,
            base=base,
            dataset=dataset,
            model=config.model,
            training=config.training,
            run=claimed,
        )
        # in a training on several machines the first one scores for all
        if config.training.node_rank == 0:
            score_remaining(claimed)
    return trained
