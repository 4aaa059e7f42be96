"""Histories of a run's scores in its store: one small object per evaluation, written once and never changed."""

import json
from itertools import count
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from tasks.errors import StoreError
from tasks.evaluation.headline import HeadlineChange, HeadlineScore
from tasks.json_text import decode_json
from tasks.records import Value
from tasks.storage.object_store import ObjectStore
from tasks.storage.remote_folders import join

HISTORY, CHECKPOINT_SCORES = "history", "checkpoint-scores"
FIRST, NOT_COMPARABLE, NOT_COMPARED = "first", "not comparable", "not compared"
WORSE = "worse"


class Evaluation(Value):
    """One evaluation of one model.

    `key` digests everything that decides the scores, so that an unchanged model is not evaluated again. `scores`,
    `changes`, `since_first`, `drift` and `alarms` are by source: the headline score, its comparison with the previous
    and with the first report, the last evaluations against the first ones, and the kind of alarm. `report` is the
    folder of the report in the store, `time` is in UTC (ISO 8601).
    """

    # entries are kept for years: keys that a later version adds, here or in scores and changes, are skipped
    model_config = ConfigDict(extra="ignore")

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
    since_first: dict[str, HeadlineChange] = Field(default={})
    drift: dict[str, HeadlineChange] = Field(default={})
    alarms: dict[str, str] = Field(default={})

    @model_validator(mode="before")
    @classmethod
    def _alarms_of_earlier_versions(cls, found: Any) -> Any:
        """Entries of earlier versions have no alarms, but a verdict on each change."""
        if not isinstance(found, dict) or "alarms" in found or not isinstance(found.get("changes"), dict):
            return found
        changes = {source: change for source, change in found["changes"].items() if isinstance(change, dict)}
        return {**found, "alarms": {name: "previous" for name, each in changes.items() if each.get("verdict") == WORSE}}

    @property
    def dropped(self) -> list[str]:
        """The sources whose headline score alarms, now or still."""
        return list(self.alarms)


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
