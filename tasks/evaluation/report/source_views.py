"""The report's view of each source: score, gain over image-blind baselines, comparison with the base model, bars."""

from dataclasses import dataclass

from tasks.evaluation.headline import blind_baseline, gain_is_shown
from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.report.charts import Bar, draw_bars
from tasks.evaluation.scores import (
    Difference,
    Differences,
    Interval,
    Scores,
    SourceScores,
    control_score,
    differences_by_metric,
    metric_value,
)
from tasks.prompt_text import Task

CONTROL_BARS = (
    ("train_consensus", "oracle class caption", "blind"),
    ("constant", "one caption for all", "blind"),
    ("question_only", "question only", "blind"),
    ("majority", "majority answer", "blind"),
    ("shuffled_images", "shuffled images", "blind"),
    ("leave_one_out", "human references", "human"),
)


@dataclass(frozen=True)
class SourceView:
    """One source in the report: `value` is by the headline `metric`, `blind` the best image-blind baseline.

    `base` has the base model's scores, `compared` the comparison with it; `bars` is an SVG element.
    """

    task: Task
    name: str
    metric: str
    scores: SourceScores
    base: SourceScores | None
    value: float | None
    interval: Interval
    blind: float | None
    gain: float | None
    gain_shown: bool
    compared: Difference | None
    note: str | None
    bars: str


def source_views(scores: Scores, base: Scores | None = None, compared: Differences | None = None) -> list[SourceView]:
    """A view of each source, captions first."""
    return [
        _view(task, source, (found, base[task][source] if base else None), compared)
        for task in HEADLINE
        for source, found in scores[task].items()
    ]


def _view(
    task: Task, source: str, models: tuple[SourceScores, SourceScores | None], compared: Differences | None
) -> SourceView:
    metric, (own, of_base) = HEADLINE[task], models
    value, blind = metric_value(own, metric), blind_baseline(own["controls"])
    note = own.get("note")
    return SourceView(
        task=task,
        name=source,
        metric=metric,
        scores=own,
        base=of_base,
        value=value,
        interval=own["ci95"][metric],
        blind=blind,
        gain=None if blind is None or value is None else value - blind,
        gain_shown=gain_is_shown(own, metric),
        compared=differences_by_metric(compared[task][source]).get(metric) if compared else None,
        note=note if isinstance(note, str) else None,
        bars=draw_bars(f"{source} {metric}", _bars(metric, own, of_base), 1.0 if task == "vqa" else None),
    )


def _bars(metric: str, scores: SourceScores, base: SourceScores | None) -> list[Bar]:
    models = [("this model", "model", scores), *([("base model", "base", base)] if base else [])]
    bars = [
        Bar(label, kind, value, found["ci95"][metric])
        for label, kind, found in models
        if (value := metric_value(found, metric)) is not None
    ]
    controls = scores["controls"]
    return bars + [
        Bar(label, kind, score)
        for name, label, kind in CONTROL_BARS
        if (score := control_score(controls, name)) is not None
    ]
