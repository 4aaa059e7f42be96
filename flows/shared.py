"""What all runs of a workspace share: the base model, and folders that one run creates while the others wait."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from prefect import Task, get_run_logger

from flows.decorators import this_flow_run
from tasks.data.preparing import raw_data
from tasks.data.steps import draw_lessons_folder, prepare_sets
from tasks.orchestration.caching import free_folder, make
from tasks.records import FolderRef, ModelRef
from tasks.settings import TOYS, DataConfig, ModelConfig
from tasks.storage.owner import hold_lock
from tasks.storage.runs import Run
from tasks.training.steps import find_base, pretrain_toy_base
from tasks.training.toy_base import pretrained_toy

Ref = TypeVar("Ref", bound=FolderRef)
LESSONS: Mapping[str, int] = {"scenes": 3300, "image_size": 64, "seed": 7}
LESSON_SETS = DataConfig(sources=("DOTA",), train=0.97, test=0.02)


def make_shared(work: Task[..., Ref], folder: Path, **parameters: object) -> Ref:
    """Run a step whose result all runs of a workspace share: one run creates it, the others wait and use it.

    A result of other settings or other code in `folder` stays, since a run may be using it; the new one then goes to a
    folder with a digest in its name.
    """
    with taking_turns(folder):
        return make(work, free_folder(work, folder, parameters), folder.with_name("superseded"), None, **parameters)


def taking_turns(shared: Path) -> AbstractContextManager[None]:
    """Hold the lock of a shared folder; wait while another run of the workspace holds it."""
    return hold_lock(shared.with_name(f".{shared.name}.lock"), this_flow_run(), get_run_logger().warning)


def obtain_base(model: ModelConfig, run: Run) -> ModelRef:
    """The base model on this machine: a directory, a hub download, or the toy that rsvlm pre-trains itself."""
    return find_base(model, run.workspace.models, _obtain_toy(run, model.base) if model.base in TOYS else None)


def _obtain_toy(run: Run, name: str) -> ModelRef:
    models = run.workspace.models
    lessons = make_shared(draw_lessons_folder, models / "lessons", **LESSONS)
    data = raw_data(lessons.path, LESSON_SETS, run.workspace.image_views)
    sets = make_shared(prepare_sets, models / "lesson_sets", data=data, config=LESSON_SETS)
    toy = run.workspace.toy_base(name)
    # a training is not repeated because the code of another version wrote it
    if found := pretrained_toy(sets, toy, name):
        return found
    return make_shared(pretrain_toy_base, toy, lessons=sets, name=name, log=run.folder.log)
