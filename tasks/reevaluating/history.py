"""Histories of a run's scores in its store: one small object per evaluation, written once and never changed."""

import json
from collections.abc import Iterable
from itertools import count

from tasks.errors import StoreError
from tasks.evaluation.headline import HeadlineChange, HeadlineScore
from tasks.json_text import decode_json
from tasks.records import Value
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join

HISTORY, CHECKPOINT_SCORES = "history", "checkpoint-scores"
FIRST, NOT_COMPARABLE = "first", "not comparable"
WORSE = "worse"


class Evaluation(Value):
    """One evaluation of one model.

    `key` digests everything that decides the scores, so that an unchanged model is not evaluated again. `scores` and
    `changes` are by source: the headline score, and its comparison with the evaluation before. `report` is the folder
    of the report in the store, `time` is in UTC (ISO 8601).
    """

    number: int = 0
    time: str
    model: str
    step: int | None
    key: str
    protocol: str
    report: str
    scores: dict[str, HeadlineScore]
    changes: dict[str, HeadlineChange]
    verdict: str

    @property
    def dropped(self) -> list[str]:
        """The sources whose headline score is worse than before, by the paired test."""
        return [source for source, change in self.changes.items() if change["verdict"] == WORSE]


def read_history(store: ObjectStore, run: str, history: str = HISTORY) -> list[Evaluation]:
    """All evaluations of a run, oldest first; raises StoreError for a damaged one."""
    found = []
    for key in sorted(store.sizes_below(join(run, history))):
        try:
            found.append(Evaluation.model_validate(decode_json(store.read_text(key) or "")))
        except ValueError:
            raise StoreError(f"{join(store.uri, key)} is damaged: move it away, and evaluate again.") from None
    return found


def append(store: ObjectStore, run: str, evaluation: Evaluation, history: str = HISTORY) -> Evaluation:
    """Write an evaluation under the next free number; concurrent writers all get different numbers."""
    for number in count(len(store.sizes_below(join(run, history))) + 1):
        numbered = evaluation.model_copy(update={"number": number})
        text = json.dumps(numbered.model_dump(mode="json"), ensure_ascii=False) + "\n"
        if store.create_text(join(run, history, f"{number:06d}.json"), text):
            return numbered
    raise AssertionError("numbers do not end")


def last_evaluation(history: list[Evaluation], model: str) -> Evaluation | None:
    """The last evaluation of a model."""
    return next((each for each in reversed(history) if each.model == model), None)


def verdict_on(changes: Iterable[HeadlineChange]) -> str:
    """worse where any source is worse, else better where any is better, else tie."""
    found = {change["verdict"] for change in changes}
    return next((verdict for verdict in (WORSE, "better") if verdict in found), "tie")
