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
from tasks.model.hub import find_model
from tasks.model.llava.configured_base import base_folders, configured_base
from tasks.orchestration.artifacts import ProgressArtifact, artifact_key, harmless
from tasks.orchestration.caching import KEPT, step
from tasks.orchestration.run_log import lines_to
from tasks.paths import TRAINER_STATE
from tasks.records import CheckpointRef, DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.storage.checkpoints.uploader import Uploader
from tasks.storage.runs import Run
from tasks.storage.steps import SAVED, announce, archive_of
from tasks.training.job import TrainingOrder
from tasks.training.launch import train
from tasks.training.loss_curve import draw_losses
from tasks.training.resuming import fetch_newer
from tasks.training.toy_base import pretrain_toy
from tasks.training.watching import Watcher
from tasks.training.worker_output import saved_step


@task(name="find-base", retries=3, retry_delay_seconds=[2.0, 10.0, 60.0])
def find_base(model: ModelConfig, models: Path, toy: ModelRef | None = None) -> ModelRef:
    """The base model on this machine, as the experiment uses it; fetched from a hub where it is no directory."""
    return configured_base(toy.path if toy else find_model(model.base, base_folders(models)), model, models)


@step("pretrain-toy-base", ignore=["out", "log"], code=["tasks.evaluation.metrics", *SHARED_CODE])
def pretrain_toy_base(lessons: DatasetRef, out: Path, log: Path) -> ModelRef:
    """Make the toy base model from lessons."""
    with lines_to(log) as on_line:
        return pretrain_toy(lessons, out, on_line)


@step("train-adapter", ignore=["run", "out"], tags=[KEPT])
def train_adapter(
    base: ModelRef, dataset: DatasetRef, model: ModelConfig, training: TrainingConfig, run: Run, out: Path
) -> CheckpointRef:
    """Train in a child process, announce each complete checkpoint and take it to the store."""
    order = TrainingOrder(
        run=run.name, base=base, dataset=dataset, model=model, training=training, out=out,
        staging=run.folder.staging if run.archives else None, resume=run.resume is not False,
    )  # fmt: skip
    # of several machines, the first one's uploader brings what all have written
    archive = archive_of(run) if run.archives and training.node_rank == 0 else None
    uploader = Uploader(archive) if archive else None
    with lines_to(run.folder.log) as on_line, _others_refused(run.resume is True):
        if order.resume and archive:
            fetch_newer(order, archive.store, (run.store_name, run.name))
        try:
            made = train(order, _announcing(run, on_line, uploader), uploader)
        except TrainingStopped as stopped:
            # neither a failure, in red, nor a result that a later run may take from the cache
            transaction = get_transaction()
            assert transaction is not None
            transaction.write_on_commit = False
            return cast("CheckpointRef", Cancelled(message=str(stopped), data=stopped))
    if training.node_rank == 0:
        show_losses(made, run)
    return made


@contextmanager
def _others_refused(refused: bool) -> Iterator[None]:
    """Where one training alone may be gone on with, another one in its folder is not set aside for it."""
    try:
        yield
    except OccupiedError as error:
        if refused:
            raise TrainingError(str(error)) from None
        raise


def _announcing(run: Run, on_line: Callable[[str], None], uploader: Uploader | None) -> Callable[[str], None]:
    watcher = Watcher(ArtifactBoard(run.name))

    def hear(line: str) -> None:
        on_line(line)
        watcher.hear(line)
        step_number = saved_step(line)
        if step_number is not None:
            announce(SAVED, run, step_number)
            if uploader:
                uploader.notify()

    return hear


class ArtifactBoard:
    """Shows a training on Prefect's pages: how far it is, and where its curves are."""

    def __init__(self, run: str):
        self._run = run
        self.show_progress = ProgressArtifact("training", run).show

    def show_link(self, address: str) -> None:
        with harmless():
            create_link_artifact(address, link_text=f"curves of {self._run}", key=artifact_key("curves", self._run))


def show_losses(made: CheckpointRef, run: Run) -> None:
    """Draw the course of the loss, for the run's folder and for Prefect's pages."""
    picture = draw_losses(run.name, read_json(made.path / TRAINER_STATE, allow_nan=True)["log_history"])
    write_text(run.folder.loss_curve, picture)
    address = f"data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}"
    with harmless():
        create_image_artifact(address, key=artifact_key("loss", run.name), description=f"Loss of {run.name}")
