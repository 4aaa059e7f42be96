"""Re-evaluation and checkpoint scores as Prefect tasks: models from the store, comparison, event, artifacts."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from prefect import get_run_logger, task
from prefect.events import emit_event

from tasks.errors import UserError
from tasks.evaluation.comparison import compare
from tasks.evaluation.headline import HeadlineChange, headline_changes, headline_scores
from tasks.evaluation.report_folder import read_metrics
from tasks.orchestration.artifacts import artifact_key, show_picture, show_table
from tasks.records import CheckpointRef, ModelRef, ReportRef
from tasks.reevaluating.alarms import FIELDS, begun
from tasks.reevaluating.baselines import ReportFinder, evaluations_since
from tasks.reevaluating.history import (
    CHECKPOINT_SCORES,
    HISTORY,
    Evaluation,
    append,
    last_evaluation,
    read_history,
)
from tasks.reevaluating.judging import NOT_JUDGED, Judgement, judge, new_baseline
from tasks.reevaluating.pages import (
    IN_WORDS,
    TITLES,
    Cell,
    checkpoint_rows,
    checkpoint_scores,
    draw_checkpoints,
    draw_history,
    history_rows,
    write_scores,
)
from tasks.reevaluating.stored_models import Label, StoredModel, fetch_merged, find_stored
from tasks.storage.checkpoints.listing import StoredCheckpoint, fetch_model, find_checkpoints
from tasks.storage.folder_upload import archive_folder
from tasks.storage.object_store import RETRY_DELAYS_S, ObjectStore
from tasks.storage.remote_folders import join, missing_files, read_remote_manifest
from tasks.storage.runs import Run
from tasks.storage.steps import open_run_store

DROPPED = "rsvlm.score.dropped"
EVALUATIONS = "evaluations"
# letters of a key in the name of a folder
KEY_LETTERS = 16


@task(name="find-stored-models", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def find_stored_models(run: Run, base: ModelRef, labels: Collection[Label]) -> list[StoredModel]:
    """The models of a run with these labels that its store holds."""
    return find_stored(open_run_store(run), run.store_name, base, labels)


@task(name="fetch-merged", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def fetch_merged_step(run: Run, model: StoredModel) -> ModelRef:
    """Fetch the final model of a run from the store."""
    return fetch_merged(run, model, open_run_store(run))


@task(name="is-evaluated", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def is_evaluated(run: Run, model: StoredModel, key: str) -> bool:
    """Whether the last report on a model is of the same weights, test set, settings and code, and still complete."""
    store = open_run_store(run)
    last = last_evaluation(read_history(store, run.store_name), model.label)
    return last is not None and last.key == key and _report_is_complete(store, last)


def _report_is_complete(store: ObjectStore, evaluation: Evaluation) -> bool:
    manifest = read_remote_manifest(store, evaluation.report)
    return manifest is not None and not missing_files(store, evaluation.report, manifest)


@task(name="keep-evaluation", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def keep_evaluation(run: Run, model: StoredModel, report: ReportRef, key: str, time: str, models: int) -> Evaluation:
    """Judge a report by the earlier ones on its model, emit an event for each new alarm, and store the evaluation.

    `models` are all that are watched: the more tests, the clearer a drop must be.
    """
    store = open_run_store(run)
    history = [each for each in read_history(store, run.store_name) if each.model == model.label]
    judged = _judge(ReportFinder(run, store, model.label, get_run_logger().warning), history, report, models)
    found = _evaluation(store, run, report, _Scored(model.label, model.step, key, time), judged)
    # before it is stored: a kill between the two repeats the event rather than losing it
    _report_alarms(run, found, history)
    return append(store, run.store_name, found)


class _Scored(NamedTuple):
    model: str
    step: int | None
    key: str
    time: str


def _evaluation(store: ObjectStore, run: Run, report: ReportRef, scored: _Scored, judged: Judgement) -> Evaluation:
    """Archive a report, and return its evaluation."""
    folder = join(run.store_name, EVALUATIONS, f"{scored.model}-{scored.key[:KEY_LETTERS]}")
    archive_folder(report.path, store, folder)
    metrics = read_metrics(report.path)
    return Evaluation(
        **scored._asdict(),
        **judged._asdict(),
        protocol=metrics["protocol"]["fingerprint"],
        report=folder,
        scores=headline_scores(metrics),
    )


def _judge(finder: ReportFinder, history: Sequence[Evaluation], report: ReportRef, models: int) -> Judgement:
    metrics = read_metrics(report.path)
    found = finder.find(history, metrics["protocol"])
    previous = _changes(found.previous, report, finder.model, "previous")
    # an evaluation under another protocol, or the experiment's own report
    if previous is None and not found.since and (found.previous or history):
        return new_baseline()
    same = found.first == found.previous
    first = previous if same else _changes(found.first, report, finder.model, "first")
    return judge(previous, first, headline_scores(metrics), found.since, models)


def _changes(before: Path | None, report: ReportRef, model: str, which: str) -> dict[str, HeadlineChange] | None:
    """The changes by source since an earlier report; None if it cannot be compared."""
    if before is None:
        return None
    try:
        return headline_changes(compare(before, report.path, None))
    except UserError as error:
        get_run_logger().warning("%s cannot be compared with its %s report: %s", model, which, error)
        return None


def _report_alarms(run: Run, found: Evaluation, history: Sequence[Evaluation]) -> None:
    """Log every alarm, and emit an event for those that the last evaluation did not have."""
    since = evaluations_since(history, found.protocol)
    new = begun(found.alarms, since[-1].alarms if since else {})
    for source, kind in found.alarms.items():
        change = getattr(found, FIELDS[kind])[source]
        get_run_logger().warning(
            "%s of %s: %s %s is %s, by %.4f%s.",
            *(found.model, run.store_name, source, change["metric"], IN_WORDS[kind], -change["difference"]),
            "" if source in new else "; already reported",
        )
        if source in new:
            _emit_drop(run, found, source, change)


def _emit_drop(run: Run, found: Evaluation, source: str, change: HeadlineChange) -> None:
    emit_event(
        event=DROPPED,
        resource={"prefect.resource.id": f"rsvlm.run.{run.store_name}"},
        payload={
            "run": run.store_name,
            "model": found.model,
            "step": found.step,
            "source": source,
            "metric": change["metric"],
            "kind": found.alarms[source],
            "before": change["a"],
            "now": change["b"],
            "difference": change["difference"],
            "interval": change["ci95"],
            "p_value": change["p_value"],
        },
    )


def show_history(run: Run) -> None:
    """Write a run's history to its folder and show it on Prefect's pages."""
    history = read_history(open_run_store(run), run.store_name)
    _show(run, HISTORY, history, history_rows(history), draw_history(history))


def _show(run: Run, name: str, scores: Sequence[Evaluation], rows: list[dict[str, Cell]], picture: str) -> None:
    write_scores(run.folder.root / name, name, scores, picture)
    about = f"{TITLES[name]} of {run.store_name}"
    show_table(rows, artifact_key(name, run.name), about)
    show_picture(picture, artifact_key(f"{name}-plot", run.name), about)


@task(name="find-checkpoints", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def find_checkpoints_step(run: Run, step: int | None) -> list[StoredCheckpoint]:
    """The checkpoints of a run that its store holds, or those of one step; warns where there are none."""
    found = find_checkpoints(open_run_store(run), run.store_name, step)
    if not found:
        # archive.keep may have removed it while this run waited for a GPU
        which = "no checkpoint" if step is None else f"no checkpoint of step {step} (any more)"
        get_run_logger().warning("The store holds %s of %s: nothing is scored.", which, run.store_name)
    return found


@task(name="scored-keys", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def scored_keys(run: Run) -> list[str]:
    """The keys of a run's checkpoint scores whose reports are complete in the store."""
    store = open_run_store(run)
    history = read_history(store, run.store_name, CHECKPOINT_SCORES)
    return [each.key for each in history if _report_is_complete(store, each)]


@contextmanager
def fetched_checkpoint(run: Run, checkpoint: StoredCheckpoint, folder: Path) -> Iterator[CheckpointRef]:
    """Fetch a checkpoint from the store to `folder`, and remove the folder, which may be large, after the block."""
    try:
        yield _fetch_model(run, checkpoint, folder / checkpoint.name)
    finally:
        rmtree(folder, ignore_errors=True)


@task(name="fetch-checkpoint-model", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def _fetch_model(run: Run, checkpoint: StoredCheckpoint, target: Path) -> CheckpointRef:
    return fetch_model(open_run_store(run), run.name, checkpoint, target)


@task(name="keep-checkpoint-score", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def keep_checkpoint_score(run: Run, checkpoint: StoredCheckpoint, report: ReportRef, key: str, time: str) -> Evaluation:
    """Store a checkpoint's report and its scores."""
    store = open_run_store(run)
    found = _evaluation(store, run, report, _Scored(checkpoint.name, checkpoint.step, key, time), NOT_JUDGED)
    return append(store, run.store_name, found, CHECKPOINT_SCORES)


def show_checkpoint_scores(run: Run) -> None:
    """Write the scores of a run's checkpoints to its folder and show them on Prefect's pages."""
    scores = checkpoint_scores(read_history(open_run_store(run), run.store_name, CHECKPOINT_SCORES))
    _show(run, CHECKPOINT_SCORES, scores, checkpoint_rows(scores), draw_checkpoints(scores))
