"""Prefect tasks of the training stage."""

from collections.abc import Callable
from pathlib import Path

from prefect import task

from tasks.model.finding import find_model
from tasks.records import CheckpointRef, DatasetRef, ModelRef
from tasks.settings import ModelConfig, TrainingConfig
from tasks.steps import KEPT, lines_to, step
from tasks.storage.runs import Run
from tasks.storage.steps import SAVED, announce, archive_of
from tasks.storage.uploader import Uploader
from tasks.training.base_model import configured_base
from tasks.training.launch import train
from tasks.training.order import TrainingOrder
from tasks.training.resuming import fetch_newer
from tasks.training.toy_base import pretrain_toy
from tasks.training.worker_lines import saved_step


@task(name="find-base", retries=3, retry_delay_seconds=[2.0, 10.0, 60.0])
def find_base(model: ModelConfig, models: Path, toy: ModelRef | None = None) -> ModelRef:
    """The base model on this machine, as the experiment uses it; fetched from a hub where it is no directory."""
    return configured_base(toy.path if toy else find_model(model.base), model, models)


@step("pretrain-toy-base")
def pretrain_toy_base(lessons: DatasetRef, out: Path, log: Path) -> ModelRef:
    """Make the toy base model from lessons."""
    return pretrain_toy(lessons, out, lines_to(log))


@step("train-adapter", tags=[KEPT])
def train_adapter(
    base: ModelRef, dataset: DatasetRef, model: ModelConfig, training: TrainingConfig, run: Run, out: Path
) -> CheckpointRef:
    """Train in a child process, announce each complete checkpoint and take it to the store."""
    order = TrainingOrder(
        run=run.name, base=base, dataset=dataset, model=model, training=training, out=out,
        staging=run.folder.staging if run.archives else None, resume=run.resume,
    )  # fmt: skip
    # of several machines, the first one's uploader brings what all have written
    archive = archive_of(run) if run.archives and training.node_rank == 0 else None
    if run.resume and archive:
        fetch_newer(order, archive.store, (run.store_name, run.name))
    uploader = Uploader(archive) if archive else None
    return train(order, _announcing(run, lines_to(run.folder.log), uploader), uploader)


def _announcing(run: Run, on_line: Callable[[str], None], uploader: Uploader | None) -> Callable[[str], None]:
    def hear(line: str) -> None:
        on_line(line)
        step_number = saved_step(line)
        if step_number is not None:
            announce(SAVED, run, step_number)
            if uploader:
                uploader.notify()

    return hear
