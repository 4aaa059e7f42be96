"""Scores of answers with boxes, by source."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from tasks.evaluation.answer_means import means_over_answers
from tasks.evaluation.grounding_metrics import UNREADABLE, AnsweredBoxes, Convention, answered_boxes, lacks_boxes
from tasks.evaluation.metrics.registry import GROUNDING_METRICS
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.scores import GroundingScores
from tasks.prompt_text import Task


@dataclass
class Grounding:
    """The scores of all sources with boxes, and the answers.

    `unscored` counts the references of sources whose references all have no box.
    """

    scores: dict[str, GroundingScores] = field(default_factory=dict)
    unscored: dict[Task, dict[str, int]] = field(default_factory=dict)
    answers: list[AnsweredBoxes] = field(default_factory=list)


def score_grounding(records: Sequence[PairedRecord]) -> Grounding:
    """Score the answers to all questions for boxes."""
    by_source: dict[str, list[PairedRecord]] = defaultdict(list)
    for record in records:
        if record.asked_for("grounding"):
            by_source[record.source].append(record)
    found = Grounding()
    for source, group in by_source.items():
        answers, conventions = answered_boxes(group)
        empty = sum(lacks_boxes(turn) for record in group for turn in record.asked_for("grounding"))
        if answers:
            found.scores[source] = _score(answers, conventions, empty)
            found.answers += answers
        else:
            found.unscored.setdefault("grounding", {})[source] = empty
    return found


def _score(answers: Sequence[AnsweredBoxes], conventions: Sequence[Convention], empty: int) -> GroundingScores:
    scores, intervals = means_over_answers(answers, GROUNDING_METRICS)
    reasons = Counter(each.unreadable for each in answers)
    readable = [each.overlap for each in answers if each.unreadable is None]
    found = {
        "images": len({each.image for each in answers}),
        "questions": len(answers),
        **scores,
        "mean_iou_readable": sum(readable) / len(readable) if readable else None,
        "unreadable": {name: reasons[name] for name in UNREADABLE},
        "conventions": [each.as_json() for each in conventions],
        "ci95": intervals,
        "empty_references": empty,
        "controls": {},
        "gain": None,
    }
    return cast(GroundingScores, found)
