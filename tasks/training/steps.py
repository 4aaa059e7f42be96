"""Prefect tasks of the training stage."""

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from prefect import task
from prefect.artifacts import create_image_artifact, create_link_artifact
from prefect.states import Cancelled
from prefect.transactions import get_transaction

from tasks.content_keys import SHARED_CODE
from tasks.errors import OccupiedError, TrainingError, TrainingStopped
from tasks.files import read_json, write_text
from tasks.model.families import family_of
from tasks.model.hub import base_folders, find_model
from tasks.orchestration.artifacts import ProgressArtifact, artifact_key, harmless
from tasks.orchestration.caching import KEPT, step
from tasks.orchestration.run_log import lines_to
from tasks.paths import TRAINER_STATE
from tasks.records import CheckpointRef, DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.runs import Run
from tasks.storage.steps import SAVED, announce, archive_of
from tasks.training.job import TrainingJob
from tasks.training.launch import ProgressReporter, train
from tasks.training.loss_curve import draw_losses
from tasks.training.resuming import fetch_newer
from tasks.training.toy_base import pretrain_toy
from tasks.worker_lines import saved_step


@task(name="find-base", retries=3, retry_delay_seconds=[2.0, 10.0, 60.0])
def find_base(model: ModelConfig, models: Path, toy: ModelRef | None = None) -> ModelRef:
    """Find the base model and configure it for the experiment; downloads it from the hub if it is not a directory."""
    folder = toy.path if toy else find_model(model.base, base_folders(models))
    return family_of(folder).configured_base(folder, model, models)


@step("pretrain-toy-base", ignore=["out", "log"], code=["tasks.evaluation.metrics", *SHARED_CODE])
def pretrain_toy_base(lessons: DatasetRef, name: str, out: Path, log: Path) -> ModelRef:
    """Train the toy base model of that name on lessons."""
    with lines_to(log) as on_line:
        return pretrain_toy(lessons, out, name, on_line)


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
    with lines_to(run.folder.log) as on_line, _refuse_other_trainings(run.resume is True):
        if job.resume and archive:
            fetch_newer(job, archive.store, (run.store_name, run.name))
        try:
            final = train(job, _line_handler(run, on_line, uploader), uploader)
        except TrainingStopped as stopped:
            # neither a failure nor a result that a later run may take from the cache
            transaction = get_transaction()
            assert transaction is not None
            transaction.write_on_commit = False
            return cast("CheckpointRef", Cancelled(message=str(stopped), data=stopped))
    if training.node_rank == 0:
        show_losses(final, run)
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


def _line_handler(run: Run, on_line: Callable[[str], None], uploader: Uploader | None) -> Callable[[str], None]:
    """Passes lines on, shows their progress, and announces and uploads complete checkpoints."""
    reporter = ProgressReporter(TrainingArtifacts(run.name))

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
    """Shows a training's progress and the link to its curves as Prefect artifacts."""

    def __init__(self, run: str):
        self._run = run
        self.show_progress = ProgressArtifact("training", run).show

    def show_link(self, url: str) -> None:
        with harmless():
            create_link_artifact(url, link_text=f"curves of {self._run}", key=artifact_key("curves", self._run))


def show_losses(final: CheckpointRef, run: Run) -> None:
    """Draw the loss curve, for the run's folder and as a Prefect artifact."""
    picture = draw_losses(run.name, read_json(final.path / TRAINER_STATE, allow_nan=True)["log_history"])
    write_text(run.folder.loss_curve, picture)
    url = f"data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}"
    with harmless():
        create_image_artifact(url, key=artifact_key("loss", run.name), description=f"Loss of {run.name}")
