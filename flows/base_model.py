"""Where a run's base model comes from: a directory, a hub, or the toy that rsvlm pre-trains itself."""

from tasks.data.steps import draw_lesson_sets
from tasks.model.steps import find_base
from tasks.records import ModelRef
from tasks.settings import ModelConfig
from tasks.steps import make
from tasks.storage.runs import Run
from tasks.training.steps import pretrain_toy_base

TOY = "tiny"


def obtain_base(model: ModelConfig, run: Run) -> ModelRef:
    """The base model of a run, on this machine."""
    if model.base != TOY:
        return find_base(model.base)
    models = run.workspace.models
    lessons = make(draw_lesson_sets, models / "lessons", models / "superseded", result=models / "lessons" / "sets")
    return make(pretrain_toy_base, models / "toy", models / "superseded", lessons=lessons, log=run.folder.log)
