"""Flow score-checkpoint: archived checkpoint -> answers about a few validation images -> scores by step.

Safe to run twice and in any order.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from flows.base_model import obtain_base
from flows.cancelling import flow
from flows.prepare_data import prepare_data_flow
from tasks.content_keys import content_digest_of
from tasks.data.few_images import settings_for_few
from tasks.errors import RunStopped
from tasks.evaluation.steps import evaluate_answers
from tasks.inference.request import PredictionSpec
from tasks.inference.steps import answer_subsets
from tasks.merging.steps import merge_adapter_step
from tasks.orchestration.caching import make
from tasks.records import CheckpointRef, DatasetRef, ModelRef, ReportRef
from tasks.reevaluating.history import CHECKPOINT_SCORES, Evaluation
from tasks.reevaluating.steps import (
    KEY_LETTERS,
    fetched_checkpoint,
    find_checkpoints_step,
    keep_checkpoint_score,
    scored_keys,
    show_checkpoint_scores,
    view_few_images_step,
)
from tasks.settings import ExperimentConfig, MergingConfig
from tasks.storage.checkpoints.listing import StoredCheckpoint
from tasks.storage.checkpoints.staging import locked
from tasks.storage.owner import beside_owner
from tasks.storage.runs import Run, read_config, reopen_run
from tasks.sweeping.steps import view_validation_step


@flow(name="score-checkpoint", flow_run_name="score-checkpoint-{run}-{step}", persist_result=False)
def score_checkpoint_flow(run: str, step: int | None = None, workspace: Path = Path("workspace")) -> list[Evaluation]:
    """Score archived checkpoints by a few images of the validation set, as archive.score_images of the run says.

    What has been scored is not asked again. Returns the new scores.

    Args:
        run: The run's name, in the workspace or in the store.
        step: The step of the checkpoint; empty: all that the store holds.
        workspace: The folder that all runs share.
    """
    opened = reopen_run(run, workspace)
    if opened is None or not opened.archive.score_images:
        why = f"is not in {workspace}" if opened is None else "has archive.score_images at 0"
        get_run_logger().info("The run %s %s: nothing is scored.", run, why)
        return []
    # beside the training, or at its end: its settings stay as they are
    with beside_owner(opened.folder):
        return _score_new(opened, step)


def _score_new(run: Run, step: int | None) -> list[Evaluation]:
    config = settings_for_few(read_config(run.folder))
    base = obtain_base(config.model, run)
    # a training that ends scores what is left, and an event may start this beside it
    with locked(run.folder.root / CHECKPOINT_SCORES):
        asked = _images(run, config)
        known, made = scored_keys(run), []
        for checkpoint in find_checkpoints_step(run, step):
            key = content_digest_of([checkpoint.sha256, base, asked, config.inference, config.evaluation])
            if key not in known:
                report = _score(run, config, (checkpoint, key), base, asked)
                time = datetime.now(UTC).isoformat(timespec="seconds")
                made.append(keep_checkpoint_score(run, checkpoint, report, key, time))
                show_checkpoint_scores(run)
    return made


def score_what_is_left(run: Run) -> None:
    """Score, where that is asked for, what no event has had scored; a training does not fail by it."""
    if not run.archive.score_images:
        return
    state = score_checkpoint_flow(run.name, workspace=run.workspace_root, return_state=True)
    if state.is_cancelled():
        raise RunStopped(state.message)
    if not state.is_completed():
        get_run_logger().warning("Not all checkpoints of %s are scored: %s", run.name, state.message)


def _images(run: Run, config: ExperimentConfig) -> DatasetRef:
    """A few images a source of the validation set."""
    dataset = prepare_data_flow(config, run.name, run.workspace_root)
    root, superseded = run.folder.root, run.folder.superseded
    validation = make(view_validation_step, root / "validation" / "sets", superseded, dataset=dataset)
    return make(
        view_few_images_step,
        root / CHECKPOINT_SCORES / "sets",
        superseded,
        dataset=validation,
        count=config.archive.score_images,
        seed=config.data.seed,
    )


def _score(
    run: Run, config: ExperimentConfig, what: tuple[StoredCheckpoint, str], base: ModelRef, asked: DatasetRef
) -> ReportRef:
    """Answer and score in a folder of this checkpoint's own; the checkpoint itself stays only until it has answered."""
    checkpoint, key = what
    place = run.folder.root / CHECKPOINT_SCORES / f"{checkpoint.name}-{key[:KEY_LETTERS]}"
    with fetched_checkpoint(run, checkpoint, place / "model") as fetched:
        answers = make(
            answer_subsets,
            place / "predictions" / checkpoint.name,
            run.folder.superseded,
            dataset=asked,
            spec=PredictionSpec(label=checkpoint.name, config=config.inference, subset_size=config.data.subset_size),
            run=run,
            **_answering(run, config, base, fetched),
        )
    return make(
        evaluate_answers,
        place / "reports" / checkpoint.name,
        run.folder.superseded,
        dataset=asked,
        answers=[answers],
        audit=None,
        checkpoints=[],
        config=config.evaluation,
    )


def _answering(run: Run, config: ExperimentConfig, base: ModelRef, fetched: CheckpointRef) -> dict[str, Any]:
    """Base and adapter as they are; a checkpoint without an adapter as the model that it becomes when it is merged."""
    if config.training.lora_enable:
        return {"model": base, "adapter": fetched}
    merged = fetched.path.with_name("merged")
    place = (merged, run.folder.superseded)
    return {
        "model": make(
            merge_adapter_step, *place, base=base, checkpoint=fetched, config=MergingConfig(), log=run.folder.log
        )
    }
