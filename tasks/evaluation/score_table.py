"""scores.jsonl: one flat row a score, so that all of a report's numbers load into a table in one line."""

from collections.abc import Iterator, Mapping
from typing import Any

Row = dict[str, Any]
ALL, CLEAN, EVERY_TYPE = "all", "clean", "all"
BESIDE = ("ci95", "controls", "by_type", "confusion", "no_answer", "prompt_sensitivity")


def score_rows(model: str, metrics: Mapping[str, Any]) -> list[Row]:
    """All numbers of metrics.json: model, images (all or clean), task, source, type, metric, value, low, high.

    `low` and `high` are the 95 % interval, None where there is none; controls are named control.NAME, counts of
    answers that are none no_answer.REASON. What is null in metrics.json has no row.
    """
    parts = {ALL: metrics, CLEAN: metrics.get("clean") or {}}
    return [
        {"model": model, "images": images, "task": task, "source": source, **row}
        for images, part in parts.items()
        for task in ("captioning", "vqa")
        for source, scores in part.get(task, {}).items()
        for row in _rows(scores, EVERY_TYPE)
    ]


def _rows(scores: Mapping[str, Any], kind: str) -> Iterator[Row]:
    intervals = scores.get("ci95", {})
    plain = {name: value for name, value in scores.items() if name not in BESIDE}
    plain |= {f"control.{name}": value for name, value in scores.get("controls", {}).items()}
    plain |= {f"no_answer.{name}": value for name, value in scores.get("no_answer", {}).items()}
    plain |= {f"prompts.{name}": value for name, value in (scores.get("prompt_sensitivity") or {}).items()}
    for metric, value in plain.items():
        if isinstance(value, int | float):
            low, high = intervals.get(metric) or (None, None)
            yield {"type": kind, "metric": metric, "value": value, "low": low, "high": high}
    for name, of_type in scores.get("by_type", {}).items():
        yield from _rows(of_type, name)
