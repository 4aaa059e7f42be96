"""Flow score-checkpoint: archived checkpoint -> answers about a few validation images -> scores by step.

Safe to run twice and in any order.
"""

from datetime import UTC, datetime
from pathlib import Path

from prefect import get_run_logger

from flows.answer_and_score import Answerer, answer, score
from flows.decorators import flow
from flows.prepare_data import prepare_data_flow
from flows.shared import obtain_base
from tasks.content_keys import content_digest_of
from tasks.data.dataset_views import settings_for_few_images
from tasks.data.steps import view_few_images_step, view_validation_step
from tasks.errors import RunStopped
from tasks.merging.steps import merge_adapter_step
from tasks.orchestration.caching import make
from tasks.paths import MERGED, RunFolder
from tasks.records import CheckpointRef, DatasetRef, ModelRef, ReportRef
from tasks.reevaluating.history import CHECKPOINT_SCORES, Evaluation
from tasks.reevaluating.steps import (
    KEY_LETTERS,
    fetched_checkpoint,
    find_checkpoints_step,
    keep_checkpoint_score,
    scored_keys,
    show_checkpoint_scores,
)
from tasks.settings import ExperimentConfig, MergingConfig
from tasks.storage.checkpoints.listing import StoredCheckpoint
from tasks.storage.checkpoints.staging import locked
from tasks.storage.owner import as_guest
from tasks.storage.runs import Run, read_experiment, reopen_run


@flow(name="score-checkpoint", flow_run_name="{run}: score-checkpoint {step}", persist_result=False)
def score_checkpoint_flow(run: str, step: int | None = None, workspace: Path = Path("workspace")) -> list[Evaluation]:
    """Score archived checkpoints on a few images of the validation set, as many as the run's archive.score_images.

    Checkpoints that have been scored are skipped. Returns the new scores.

    Args:
        run: The run's name, in the workspace or in the store.
        step: Optimizer step of the checkpoint. Empty: all checkpoints in the store.
        workspace: Folder shared by all runs.
    """
    opened = reopen_run(run, workspace)
    if opened is None or not opened.archive.score_images:
        why = f"is not in {workspace}" if opened is None else "has archive.score_images at 0"
        get_run_logger().info("The run %s %s: nothing is scored.", run, why)
        return []
    # the training may still own the run: its settings must stay unchanged
    with as_guest(opened.folder):
        return _score_new(opened, step)


def _score_new(run: Run, step: int | None) -> list[Evaluation]:
    config = settings_for_few_images(read_experiment(run.folder))
    base = obtain_base(config.model, run)
    # a training scores remaining checkpoints at its end, and an event may start this flow at the same time
    with locked(run.folder.root / CHECKPOINT_SCORES):
        images = _few_images(run, config)
        known, new = scored_keys(run), []
        for checkpoint in find_checkpoints_step(run, step):
            key = content_digest_of([checkpoint.sha256, base, images, config.inference, config.evaluation])
            if key not in known:
                report = _score(run, config, (checkpoint, key), base, images)
                time = datetime.now(UTC).isoformat(timespec="seconds")
                new.append(keep_checkpoint_score(run, checkpoint, report, key, time))
                show_checkpoint_scores(run)
    return new


def score_remaining(run: Run) -> None:
    """At the end of a training, score the checkpoints that no event has scored; a failure only logs a warning."""
    if not run.archive.score_images:
        return
    state = score_checkpoint_flow(run.name, workspace=run.workspace_root, return_state=True)
    if state.is_cancelled():
        raise RunStopped(state.message)
    if not state.is_completed():
        get_run_logger().warning("Not all checkpoints of %s are scored: %s", run.name, state.message)


def _few_images(run: Run, config: ExperimentConfig) -> DatasetRef:
    """A few validation images per source."""
    dataset = prepare_data_flow(config, run.name, run.workspace_root)
    superseded = run.folder.superseded
    validation = make(view_validation_step, run.folder.validation.sets, superseded, dataset=dataset)
    return make(
        view_few_images_step,
        run.folder.root / CHECKPOINT_SCORES / "sets",
        superseded,
        dataset=validation,
        count=config.archive.score_images,
        seed=config.data.seed,
    )


def _score(
    run: Run, config: ExperimentConfig, keyed: tuple[StoredCheckpoint, str], base: ModelRef, images: DatasetRef
) -> ReportRef:
    """Answer and score in a folder for this checkpoint; the downloaded checkpoint is removed after answering."""
    checkpoint, key = keyed
    folder = RunFolder(run.folder.root / CHECKPOINT_SCORES / f"{checkpoint.name}-{key[:KEY_LETTERS]}")
    with fetched_checkpoint(run, checkpoint, folder.root / "model") as fetched:
        answerer = _answerer(run, config, base, fetched, checkpoint.name)
        answers = answer(run, config, answerer, images, folder.predictions(checkpoint.name))
    return score(run, config.evaluation, [answers], images, folder.report(checkpoint.name))


def _answerer(run: Run, config: ExperimentConfig, base: ModelRef, fetched: CheckpointRef, label: str) -> Answerer:
    """The base model with the checkpoint's adapter; a checkpoint without an adapter is merged first."""
    if config.training.lora_enable:
        return Answerer(label, base, fetched)
    merged = make(
        merge_adapter_step,
        fetched.path.with_name(MERGED),
        run.folder.superseded,
        base=base,
        checkpoint=fetched,
        config=MergingConfig(),
        log=run.folder.log,
    )
    return Answerer(label, merged)
