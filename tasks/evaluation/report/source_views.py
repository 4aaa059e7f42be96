"""What the report says of each source: score, gain over no image, comparison with the base, bars."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.evaluation.caption_metrics import NOTE
from tasks.evaluation.controls.gains import blind_score, gain_is_shown
from tasks.evaluation.report.bars import Bar, draw_bars

HEADLINE_METRIC = {"captioning": "CIDEr", "vqa": "accuracy"}
CONTROL_BARS = (
    ("train_consensus", "training consensus", "blind"),
    ("constant", "one caption for all", "blind"),
    ("question_only", "question only", "blind"),
    ("majority", "majority answer", "blind"),
    ("shuffled_images", "other images' answers", "blind"),
    ("leave_one_out", "human references", "human"),
)

Scores = Mapping[str, Any]


def source_views(
    scores: Scores, base: Scores | None = None, compared: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """A view of each source in scores as metrics.json holds them, captions first."""
    return [
        _view(task, source, scores, base, compared[task][source].get(metric) if compared else None)
        for task, source, metric in _sources(scores)
    ]


def _sources(scores: Scores) -> Iterator[tuple[str, str, str]]:
    for task, metric in HEADLINE_METRIC.items():
        for source in scores[task]:
            yield task, source, metric


def _view(
    task: str, source: str, scores: Scores, base: Scores | None, compared: Mapping[str, Any] | None
) -> dict[str, Any]:
    metric, own = HEADLINE_METRIC[task], scores[task][source]
    of_base = base[task][source] if base else None
    blind = blind_score(own["controls"])
    return {
        "task": task,
        "name": source,
        "metric": metric,
        "scores": own,
        "base": of_base,
        "value": own[metric],
        "interval": own["ci95"][metric],
        "blind": blind,
        "gain": None if blind is None or own[metric] is None else own[metric] - blind,
        "looks": gain_is_shown(own, metric),
        "compared": compared,
        "note": own.get(NOTE),
        "bars": draw_bars(f"{source} {metric}", _bars(metric, own, of_base), 1.0 if task == "vqa" else None),
    }


def _bars(metric: str, scores: Scores, base: Scores | None) -> list[Bar]:
    models = [("this model", "model", scores), *([("base model", "base", base)] if base else [])]
    bars = [
        Bar(label, kind, found[metric], found["ci95"][metric])
        for label, kind, found in models
        if found[metric] is not None
    ]
    controls = scores["controls"]
    return bars + [
        Bar(label, kind, controls[name]) for name, label, kind in CONTROL_BARS if controls.get(name) is not None
    ]
