"""Re-evaluation as Prefect tasks: what the store holds, the comparison with the last report, the alarm, the pages.

And the scores of a run's checkpoints, as they come.
"""

from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.events import emit_event

from tasks.content_keys import SHARED_CODE
from tasks.data.few_images import view_few_images
from tasks.errors import UserError
from tasks.evaluation.comparison import METRICS, compare
from tasks.files import read_json, write_json_lines, write_text
from tasks.manifests import content_digest
from tasks.orchestration.artifacts import artifact_key, harmless
from tasks.orchestration.caching import step
from tasks.records import CheckpointRef, DatasetRef, ModelRef, ReportRef
from tasks.reevaluating.history import (
    CHECKPOINT_SCORES,
    FIRST,
    HISTORY,
    NOT_COMPARABLE,
    Evaluation,
    append,
    last_of,
    leading_changes,
    leading_scores,
    read_history,
    verdict_on,
)
from tasks.reevaluating.pages import checkpoint_rows, checkpoint_scores, draw_checkpoints, draw_history, history_rows
from tasks.reevaluating.stored_models import Label, StoredModel, fetch_merged, find_stored
from tasks.storage.checkpoints.listing import StoredCheckpoint, fetch_model, find_checkpoints
from tasks.storage.folder_upload import archive_folder
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join, missing_files, pull_folder, read_remote_manifest
from tasks.storage.runs import Run
from tasks.storage.steps import RETRY_DELAYS_S, open_run_store

DROPPED = "rsvlm.score.dropped"
REPORTS, EVALUATIONS = "reports", "evaluations"
KEY_LETTERS = 16
TITLES = {HISTORY: "History of the scores", CHECKPOINT_SCORES: "Scores of the checkpoints"}


@task(name="find-stored-models", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def find_stored_models(run: Run, base: ModelRef, labels: Collection[Label]) -> list[StoredModel]:
    """The asked models of a run that its store holds."""
    return find_stored(open_run_store(run), run.store_name, base, labels)


@task(name="fetch-merged", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def fetch_merged_step(run: Run, model: StoredModel) -> ModelRef:
    """The final model of a run, from the store."""
    return fetch_merged(run, model, open_run_store(run))


@task(name="is-evaluated", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def is_evaluated(run: Run, model: StoredModel, key: str) -> bool:
    """Whether the last report on a model is of this very model, test set, settings and code, and whole in the store."""
    store = open_run_store(run)
    last = last_of(read_history(store, run.store_name), model.label)
    return last is not None and last.key == key and _report_is_whole(store, last)


def _report_is_whole(store: ObjectStore, evaluation: Evaluation) -> bool:
    manifest = read_remote_manifest(store, evaluation.report)
    return manifest is not None and not missing_files(store, evaluation.report, manifest)


@task(name="keep-evaluation", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def keep_evaluation(run: Run, model: StoredModel, report: ReportRef, key: str, time: str) -> Evaluation:
    """Compare a report with the last one on its model, sound the alarm if it is worse, and keep both in the store."""
    store = open_run_store(run)
    place = join(run.store_name, EVALUATIONS, f"{model.label}-{key[:KEY_LETTERS]}")
    changes, verdict = _compared_with_last(run, model, report, store)
    archive_folder(report.path, store, place)
    found = Evaluation(
        time=time,
        model=model.label,
        step=model.step,
        key=key,
        protocol=read_json(report.path / METRICS)["protocol"]["fingerprint"],
        report=place,
        scores=leading_scores(report.path),
        changes=changes,
        verdict=verdict,
    )
    # before it is kept: a kill between the two says it twice, not never
    for source in found.dropped:
        _sound_alarm(run, found, source)
    return append(store, run.store_name, found)


def _compared_with_last(
    run: Run, model: StoredModel, report: ReportRef, store: ObjectStore
) -> tuple[dict[str, dict[str, object]], str]:
    """The changes by source since the last report on a model, and the verdict."""
    before = _last_report(run, model, store)
    if before is None:
        return {}, FIRST
    try:
        changes = leading_changes(compare(before, report.path, None))
    except UserError as error:
        get_run_logger().warning("%s is not compared with its last report: %s", model.label, error)
        return {}, NOT_COMPARABLE
    return changes, verdict_on(changes)


def _last_report(run: Run, model: StoredModel, store: ObjectStore) -> Path | None:
    """The last report on a model, from the store: of its history or, before that, of the experiment itself."""
    last = last_of(read_history(store, run.store_name), model.label)
    folder = last.report if last else join(run.store_name, REPORTS)
    manifest = read_remote_manifest(store, folder)
    if manifest is None:
        return None
    target = run.folder.root / "fetched" / f"{REPORTS}-{content_digest(manifest)[:KEY_LETTERS]}"
    pull_folder(store, folder, target)
    report = target if last else target / model.label
    return report if report.is_dir() else None


def _sound_alarm(run: Run, found: Evaluation, source: str) -> None:
    change = found.changes[source]
    get_run_logger().warning(
        "%s of %s answers worse than before: %s %s by %.4f.",
        *(found.model, run.store_name, source, change["metric"], change["difference"]),
    )
    emit_event(
        event=DROPPED,
        resource={"prefect.resource.id": f"rsvlm.run.{run.store_name}"},
        payload={
            "run": run.store_name,
            "model": found.model,
            "step": found.step,
            "source": source,
            "metric": change["metric"],
            "before": change["a"],
            "now": change["b"],
            "difference": change["difference"],
            "interval": change["ci95"],
            "p_value": change["p_value"],
        },
    )


def show_history(run: Run) -> None:
    """Write a run's history as JSON lines and as a picture, and show both on Prefect's pages."""
    history = read_history(open_run_store(run), run.store_name)
    _show(run, HISTORY, history, history_rows(history), draw_history(history))


def _show(run: Run, name: str, scores: Sequence[Evaluation], rows: list[dict[str, Any]], picture: str) -> None:
    folder = run.folder.root / name
    write_json_lines(folder / f"{name}.jsonl", [each.model_dump(mode="json") for each in scores])
    write_text(folder / f"{name}.svg", picture)
    address = f"data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}"
    about = f"{TITLES[name]} of {run.store_name}"
    with harmless():
        create_table_artifact(rows, key=artifact_key(name, run.name), description=about)
        create_image_artifact(address, key=artifact_key(f"{name}-plot", run.name), description=about)


@step("view-few-images", ignore=["out"], code=["tasks.data", *SHARED_CODE])
def view_few_images_step(dataset: DatasetRef, count: int, seed: int, out: Path) -> DatasetRef:
    """Have a few images of a dataset's test set as a test set of its own."""
    return view_few_images(dataset, count, seed, out)


@task(name="find-checkpoints", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def find_checkpoints_step(run: Run, step: int | None) -> list[StoredCheckpoint]:
    """The checkpoints of a run that its store holds, or that of one step; none is said in the log."""
    found = find_checkpoints(open_run_store(run), run.store_name, step)
    if not found:
        # by a rule of archive.keep, which may be quicker than a run that waits for a GPU
        which = "no checkpoint" if step is None else f"no checkpoint of step {step}, or none any more"
        get_run_logger().warning("The store holds %s of %s: nothing is scored.", which, run.store_name)
    return found


@task(name="scored-keys", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def scored_keys(run: Run) -> list[str]:
    """The keys of a run's checkpoint scores whose reports are whole in the store."""
    store = open_run_store(run)
    history = read_history(store, run.store_name, CHECKPOINT_SCORES)
    return [each.key for each in history if _report_is_whole(store, each)]


@contextmanager
def checkpoint_at_hand(run: Run, checkpoint: StoredCheckpoint, place: Path) -> Iterator[CheckpointRef]:
    """A checkpoint from the store below `place`, which is removed in the end: the store keeps what may be large."""
    try:
        yield _fetch_model(run, checkpoint, place / checkpoint.name)
    finally:
        rmtree(place, ignore_errors=True)


@task(name="fetch-checkpoint-model", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def _fetch_model(run: Run, checkpoint: StoredCheckpoint, target: Path) -> CheckpointRef:
    return fetch_model(open_run_store(run), run.name, checkpoint, target)


@task(name="keep-checkpoint-score", retries=3, retry_delay_seconds=RETRY_DELAYS_S)
def keep_checkpoint_score(run: Run, checkpoint: StoredCheckpoint, report: ReportRef, key: str, time: str) -> Evaluation:
    """Keep a checkpoint's report in the store, and note its scores there."""
    store = open_run_store(run)
    place = join(run.store_name, EVALUATIONS, f"{checkpoint.name}-{key[:KEY_LETTERS]}")
    archive_folder(report.path, store, place)
    found = Evaluation(
        time=time,
        model=checkpoint.name,
        step=checkpoint.step,
        key=key,
        protocol=read_json(report.path / METRICS)["protocol"]["fingerprint"],
        report=place,
        scores=leading_scores(report.path),
        changes={},
        verdict=FIRST,
    )
    return append(store, run.store_name, found, CHECKPOINT_SCORES)


def show_checkpoint_scores(run: Run) -> None:
    """Write the scores of a run's checkpoints as JSON lines and as a picture, and show both on Prefect's pages."""
    scores = checkpoint_scores(read_history(open_run_store(run), run.store_name, CHECKPOINT_SCORES))
    _show(run, CHECKPOINT_SCORES, scores, checkpoint_rows(scores), draw_checkpoints(scores))
