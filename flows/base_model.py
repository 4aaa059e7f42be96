"""Where a run's base model comes from: a directory, a hub, or the toy that rsvlm pre-trains itself."""

from typing import Any

from flows.owning import make_shared
from tasks.data.preparing import raw_data
from tasks.data.steps import draw_lessons_folder, prepare_sets
from tasks.records import ModelRef
from tasks.settings import DataConfig, ModelConfig
from tasks.storage.runs import Run
from tasks.training.steps import find_base, pretrain_toy_base

TOY = "tiny"
LESSONS: dict[str, Any] = {"scenes": 3300, "image_size": 64, "seed": 7}
LESSON_SETS = DataConfig(sources=("DOTA",), train=0.97, test=0.02)


def obtain_base(model: ModelConfig, run: Run) -> ModelRef:
    """The base model of a run, on this machine, with images handled as the run's settings say."""
    return find_base(model, run.workspace.models, _obtain_toy(run) if model.base == TOY else None)


def _obtain_toy(run: Run) -> ModelRef:
    models = run.workspace.models
    lessons = make_shared(draw_lessons_folder, models / "lessons", **LESSONS)
    data = raw_data(lessons.path, LESSON_SETS)
    sets = make_shared(prepare_sets, models / "lesson_sets", data=data, config=LESSON_SETS)
    return make_shared(pretrain_toy_base, models / "toy", lessons=sets, log=run.folder.log)
