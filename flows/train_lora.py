"""Flow train-lora: base model and sets -> checkpoints, archived as they come -> the final checkpoint."""

from pathlib import Path

from flows.base_model import obtain_base
from flows.cancelling import flow
from flows.owning import owns_run, run_title
from flows.prepare_data import prepare_data_flow
from flows.score_checkpoint import score_what_is_left
from tasks.orchestration.caching import make
from tasks.paths import FINAL, Workspace
from tasks.preflight.steps import preflight_step
from tasks.records import CheckpointRef, DatasetRef, ModelRef
from tasks.settings import ExperimentConfig
from tasks.storage.runs import open_run
from tasks.storage.steps import claim_store_step
from tasks.training.settings_record import require_same_settings
from tasks.training.steps import train_adapter


@flow(name="train-lora", flow_run_name=run_title("train-lora-{name}"), persist_result=False)
@owns_run
def train_lora_flow(
    config: ExperimentConfig,
    name: str = "",
    workspace: Path = Path("workspace"),
    dataset: DatasetRef | None = None,
    base: ModelRef | None = None,
    resume: bool | None = None,
) -> CheckpointRef:
    """Fine-tune the base model in a child process; unfinished training of the same settings goes on.

    Args:
        config: The experiment.
        name: The run's name; empty: the deployment's, with a digest where the settings are others than its own.
        workspace: The folder that all runs share.
        dataset: Prepared sets; empty: prepare them first.
        base: The base model; empty: find or make it first.
        resume: What becomes of an unfinished training in the run's folder. Empty: one of the same settings goes on, one
            of other settings is set aside. On: other settings are refused. Off: the same settings are refused.
    """
    if resume:
        # before experiment.yaml, the sets and all else of the run become those of other settings
        require_same_settings(Workspace(workspace.absolute()).run(name).training, config)
    run = open_run(config, name, workspace).model_copy(update={"resume": resume})
    if dataset is None:
        preflight_step(config, run)
    dataset = dataset or prepare_data_flow(config, name, workspace)
    base = base or obtain_base(config.model, run)
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
    # of several machines one scores for all
    if config.training.node_rank == 0:
        score_what_is_left(claimed)
    return trained
