"""Histories of a run's scores in its store: one small object an evaluation, written once and never changed."""

import json
from itertools import count
from pathlib import Path
from typing import Any

from tasks.errors import StoreError
from tasks.evaluation.comparison import METRICS
from tasks.files import read_json
from tasks.json_text import decode_json
from tasks.records import Value
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join

HISTORY, CHECKPOINT_SCORES = "history", "checkpoint-scores"
LEADING = {"captioning": "CIDEr", "vqa": "accuracy"}
FIRST, NOT_COMPARABLE = "first", "not comparable"


class Evaluation(Value):
    """One evaluation of one model.

    `key` digests all that decides its scores, so that the same is not asked again. `scores` holds by source metric,
    value and 95 % interval; `changes` the comparison of these with the evaluation before; `report` is the report's
    folder in the store, `time` in UTC.
    """

    number: int = 0
    time: str
    model: str
    step: int | None
    key: str
    protocol: str
    report: str
    scores: dict[str, dict[str, Any]]
    changes: dict[str, dict[str, Any]]
    verdict: str

    @property
    def dropped(self) -> list[str]:
        """The sources whose leading metric is worse than before, by the paired test."""
        return [source for source, change in self.changes.items() if change["verdict"] == "worse"]


def read_history(store: ObjectStore, run: str, history: str = HISTORY) -> list[Evaluation]:
    """All evaluations of a run, oldest first; raises StoreError for one that is damaged."""
    found = []
    for key in sorted(store.sizes_below(join(run, history))):
        try:
            found.append(Evaluation.model_validate(decode_json(store.read_text(key) or "")))
        except ValueError:
            raise StoreError(f"{join(store.uri, key)} is damaged: move it away, and evaluate again.") from None
    return found


def append(store: ObjectStore, run: str, evaluation: Evaluation, history: str = HISTORY) -> Evaluation:
    """Write an evaluation under the next free number; several writers at once all get one of their own."""
    for number in count(len(store.sizes_below(join(run, history))) + 1):
        numbered = evaluation.model_copy(update={"number": number})
        text = json.dumps(numbered.model_dump(mode="json"), ensure_ascii=False) + "\n"
        if store.create_text(join(run, history, f"{number:06d}.json"), text):
            return numbered
    raise AssertionError("numbers do not end")


def last_of(history: list[Evaluation], model: str) -> Evaluation | None:
    """The last evaluation of a model."""
    return next((each for each in reversed(history) if each.model == model), None)


def leading_scores(report: Path) -> dict[str, dict[str, Any]]:
    """By source of a report its leading metric with value and interval."""
    metrics = read_json(report / METRICS)
    return {
        source: {"metric": metric, "value": found[metric], "ci95": found["ci95"][metric]}
        for task, metric in LEADING.items()
        for source, found in metrics[task].items()
        # captions of one image alone have no CIDEr
        if found[metric] is not None
    }


def leading_changes(comparison: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By source the comparison of its leading metric: before is a, now is b."""
    return {
        source: {"metric": metric, **found[metric]}
        for task, metric in LEADING.items()
        for source, found in comparison[task].items()
        if metric in found
    }


def verdict_on(changes: dict[str, dict[str, Any]]) -> str:
    """worse where any source is worse, else better where any is better, else tie."""
    found = {change["verdict"] for change in changes.values()}
    return next((verdict for verdict in ("worse", "better") if verdict in found), "tie")
