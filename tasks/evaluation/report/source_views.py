"""The report's view of each source: score, gain over image-blind baselines, comparison with the base model, bars."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tasks.evaluation.compared_scores import Difference, Differences, compared_sources, differences_by_metric
from tasks.evaluation.drawn_data import label_of
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.report.charts import Bar, draw_bars
from tasks.evaluation.scores import (
    ClassScores,
    Controls,
    Interval,
    Scores,
    SourceScores,
    control_score,
    metric_value,
    of_task,
)
from tasks.prompt_text import Task

HUMAN_MODEL = "leave_one_out_model"
CONTROL_BARS = (
    ("train_consensus", "oracle class caption", "blind"),
    ("constant", "one caption for all", "blind"),
    ("question_only", "question only", "blind"),
    ("majority", "majority answer", "blind"),
    ("shuffled_images", "shuffled images", "blind"),
    ("leave_one_out", "human references", "human"),
    (HUMAN_MODEL, "this model", "model"),
)
SHOWN_CLASSES = 12
MOST_CHARACTERS = 24


@dataclass(frozen=True)
class SourceView:
    """One source in the report: `value` is by the headline `metric`, `blind` the best image-blind baseline.

    `label` is the name that is shown.

    `base` has the base model's scores, `compared` the comparison with it; `bars` is an SVG element. `class_bars` are
    the scene classes, the worst first, in one SVG element for the first 12 and one for the others; empty with fewer
    than two classes.
    """

    task: Task
    name: str
    label: str
    metric: str
    scores: SourceScores
    base: SourceScores | None
    value: float | None
    interval: Interval
    blind: float | None
    gain: float | None
    gain_interval: Interval
    gain_shown: bool
    compared: Difference | None
    note: str | None
    bars: str
    class_bars: tuple[str, ...]


def source_views(
    scores: Scores, base: Scores | None = None, compared: Differences | None = None, drawn: bool = False
) -> list[SourceView]:
    """A view of each source, captions first; `drawn` data is labelled as such."""
    return [
        _view(task, source, label_of(source, drawn), (found, of_task(base, task)[source] if base else None), compared)
        for task in HEADLINE
        for source, found in of_task(scores, task).items()
    ]


def _view(
    task: Task, source: str, label: str, models: tuple[SourceScores, SourceScores | None], compared: Differences | None
) -> SourceView:
    metric, (own, of_base) = HEADLINE[task], models
    value, gain = metric_value(own, metric), own.get("gain")
    note = own.get("note")
    return SourceView(
        task=task,
        name=source,
        label=label,
        metric=metric,
        scores=own,
        base=of_base,
        value=value,
        interval=own["ci95"][metric],
        blind=control_score(own["controls"], gain["baseline"]) if gain else None,
        gain=gain["value"] if gain else None,
        gain_interval=gain["ci95"] if gain else None,
        gain_shown=gain is not None and gain["shown"],
        compared=differences_by_metric(compared_sources(compared, task)[source]).get(metric) if compared else None,
        note=note if isinstance(note, str) else None,
        bars=draw_bars(f"{label} {metric}", _bars(metric, own, of_base), None if task == "captioning" else 1.0),
        class_bars=_draw_classes(f"{label} {metric} by scene class", metric, own.get("by_class")),
    )


def _bars(metric: str, scores: SourceScores, base: SourceScores | None) -> list[Bar]:
    models = [("this model", "model", scores), *([("base model", "base", base)] if base else [])]
    bars = [
        Bar(label, kind, value, found["ci95"][metric])
        for label, kind, found in models
        if (value := metric_value(found, metric)) is not None
    ]
    controls = scores["controls"]
    details = _human_details(controls, scores["images"])
    return bars + [
        Bar(label, kind, score, detail=details.get(name, ""))
        for name, label, kind in CONTROL_BARS
        if (score := control_score(controls, name)) is not None and (name != HUMAN_MODEL or name in details)
    ]


def _human_details(controls: Controls, images: int) -> dict[str, str]:
    """The details of the bars of human references and of the model on the same ones.

    The latter is left out where no reference was copied, since it is then the model's score.
    """
    distinct, copied = (control_score(controls, name) for name in ("leave_one_out_images", "copied_references_images"))
    # reports of earlier versions counted copied references, too
    if distinct is None:
        return {}
    details = {"leave_one_out": f"distinct, {_counted(distinct, 'image')}"}
    return details | ({HUMAN_MODEL: "on the same references"} if copied or distinct < images else {})


def _draw_classes(title: str, metric: str, by_class: object) -> tuple[str, ...]:
    bars = [
        Bar(_class_label(name), "model", value, scores["ci95"].get(metric), _class_size(scores))
        for name, scores in cast(Mapping[str, ClassScores], by_class or {}).items()
        if (value := metric_value(scores, metric)) is not None
    ]
    if len(bars) < 2:
        return ()
    most = max(max(bar.value, *(bar.interval or (0.0,))) for bar in bars)
    parts = bars[:SHOWN_CLASSES], bars[SHOWN_CLASSES:]
    return tuple(draw_bars(title, part, most) for part in parts if part)


def _class_label(name: str) -> str:
    label = name.replace("_", " ")
    return label if len(label) <= MOST_CHARACTERS else f"{label[: MOST_CHARACTERS - 1]}…"


def _class_size(scores: ClassScores) -> str:
    images = _counted(scores["images"], "image")
    return f"{images}, {_counted(scores['questions'], 'question')}" if "questions" in scores else images


def _counted(number: float, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
