"""Prefect tasks of the training stage."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from prefect import task
from prefect.states import Cancelled
from prefect.transactions import get_transaction

from tasks.content_keys import SHARED_CODE
from tasks.errors import OccupiedError, TrainingError, TrainingStopped
from tasks.files import read_json, write_text
from tasks.model.families import family_of
from tasks.model.hub import base_folders, find_model
from tasks.orchestration.artifacts import LiveArtifact, ProgressArtifact, artifact_key, picture_url, show_markdown
from tasks.orchestration.caching import KEPT, step
from tasks.orchestration.run_log import lines_to
from tasks.paths import TRAINER_STATE
from tasks.records import CheckpointRef, DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.runs import Run
from tasks.storage.steps import SAVED, announce, archive_of
from tasks.training.job import TrainingJob
from tasks.training.launch import ProgressReporter, report_training, train
from tasks.training.loss_curve import draw_losses
from tasks.training.resuming import fetch_newer
from tasks.training.toy_base import pretrain_toy
from tasks.worker_lines import saved_step, step_progress


@task(name="find-base", retries=3, retry_delay_seconds=[2.0, 10.0, 60.0])
def find_base(model: ModelConfig, models: Path, toy: ModelRef | None = None) -> ModelRef:
    """Find the base model and configure it for the experiment; downloads it from the hub if it is not a directory."""
    folder = toy.path if toy else find_model(model.base, base_folders(models))
    return family_of(folder).configured_base(folder, model, models)


@step("pretrain-toy-base", ignore=["out", "log"], code=["tasks.evaluation.metrics", *SHARED_CODE])
def pretrain_toy_base(lessons: DatasetRef, name: str, out: Path, log: Path) -> ModelRef:
    """Train the toy base model of that name on lessons."""
    with lines_to(log) as on_line:

        def handle(line: str) -> None:
            on_line(line)
            if progress := step_progress(line):
                report_training(progress)

        return pretrain_toy(lessons, out, name, handle)


@step("train-adapter", ignore=["run", "out"], tags=[KEPT])
def train_adapter(
    base: ModelRef, dataset: DatasetRef, model: ModelConfig, training: TrainingConfig, run: Run, out: Path
) -> CheckpointRef:
    """Train in a child process; announce each complete checkpoint and upload it to the store."""
    job = TrainingJob(
        run=run.name, base=base, dataset=dataset, model=model, training=training, out=out,
        staging=run.folder.staging if run.archives else None, resume=run.resume is not False,
    )  # fmt: skip
    # with several machines, the first one uploads what all have written
    archive = archive_of(run) if run.archives and training.node_rank == 0 else None
    uploader = Uploader(archive) if archive else None
    artifacts = TrainingArtifacts(run.name)
    with lines_to(run.folder.log) as on_line, _refuse_other_trainings(run.resume is True):
        if job.resume and archive:
            fetch_newer(job, archive.store, (run.store_name, run.name))
        try:
            final = train(job, _line_handler(run, on_line, uploader, artifacts), uploader)
        except TrainingStopped as stopped:
            # neither a failure nor a result that a later run may take from the cache
            transaction = get_transaction()
            assert transaction is not None
            transaction.write_on_commit = False
            return cast("CheckpointRef", Cancelled(message=str(stopped), data=stopped))
    if training.node_rank == 0:
        write_text(run.folder.loss_curve, artifacts.show_losses(_logged_by(final), is_last=True))
    return final


@contextmanager
def _refuse_other_trainings(must_resume: bool) -> Iterator[None]:
    """If the run must resume, fail where its folder holds another training, which would otherwise be moved away."""
    try:
        yield
    except OccupiedError as error:
        if must_resume:
            raise TrainingError(str(error)) from None
        raise


def _logged_by(final: CheckpointRef) -> list[dict[str, float]]:
    """What the training that wrote a checkpoint has logged, one entry per log line."""
    history: list[dict[str, float]] = read_json(final.path / TRAINER_STATE, allow_nan=True)["log_history"]
    return history


def _line_handler(
    run: Run, on_line: Callable[[str], None], uploader: Uploader | None, artifacts: "TrainingArtifacts"
) -> Callable[[str], None]:
    """Passes lines on, shows their progress, and announces and uploads complete checkpoints."""
    reporter = ProgressReporter(artifacts)

    def handle(line: str) -> None:
        on_line(line)
        reporter.on_line(line)
        step_number = saved_step(line)
        if step_number is not None:
            announce(SAVED, run, step_number)
            if uploader:
                uploader.notify()

    return handle


class TrainingArtifacts:
    """Shows a training's progress, its loss curve and the link to its curves as Prefect artifacts."""

    def __init__(self, run: str):
        self._run = run
        self._losses = LiveArtifact("image", "loss", run)
        self.show_progress = ProgressArtifact("training", run).show

    def show_losses(self, history: Sequence[Mapping[str, float]], is_last: bool = False) -> str:
        """Show the losses so far, with the keys of trainer_state.json; returns the SVG image."""
        picture = draw_losses(self._run, history)
        about = f"Loss of {self._run} up to step {history[-1]['step']}" if history else f"Loss of {self._run}"
        self._losses.update(picture_url(picture), about, is_last)
        return picture

    def show_link(self, url: str) -> None:
        show_markdown(f"[curves of {self._run}]({url})", artifact_key("curves", self._run), f"Curves of {self._run}")
