"""All scores of one model's answers: by source and task, with controls and intervals, and one row an answer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import DataError
from tasks.evaluation.caption_metrics import (
    CAPTION_METRICS,
    NOTE,
    ONE_IMAGE,
    SPICE,
    CaptionScores,
    CaptionSet,
    caption_intervals,
    caption_set,
    score_captions,
)
from tasks.evaluation.controls.caption_controls import caption_controls
from tasks.evaluation.controls.training_set import TrainingSet
from tasks.evaluation.controls.vqa_controls import vqa_controls
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.prompt_sensitivity import prompt_sensitivity
from tasks.evaluation.reference_cider import score_by_reference_protocol
from tasks.evaluation.tables import AnswerRows
from tasks.evaluation.vqa_metrics import answered_questions, lacks_reference, score_questions
from tasks.prompt_text import Task
from tasks.settings import EvaluationConfig

# sources all of whose true answers hold no word, with their number, by task
UNSCORED_SOURCES = "without_references"


@dataclass(frozen=True)
class Scored:
    """What metrics.json holds besides its protocol, and the rows of per_answer.jsonl."""

    scores: dict[str, Any]
    rows: AnswerRows


def score_records(
    records: Sequence[PairedRecord],
    training: TrainingSet | None,
    config: EvaluationConfig,
    meteor: Meteor | None,
) -> Scored:
    """Scores of one model's answers to a whole test set; controls that need `training` are None without it.

    `meteor` may be None for a test set without captions.
    """
    captioning, vqa, scored_captions, all_questions = {}, {}, [], []
    unscored: dict[str, dict[str, int]] = {"captioning": {}, "vqa": {}}
    for source, group in _by_source(records, "captioning").items():
        assert meteor, "captions need METEOR"
        captions = caption_set(source, group)
        if not captions.images:
            unscored["captioning"][source] = captions.empty
            continue
        captioning[source], scored = _score_source(captions, group, training, config, meteor)
        scored_captions.append(scored)
    for source, group in _by_source(records, "vqa").items():
        questions = answered_questions(group)
        left_out = sum(lacks_reference(turn) for record in group for turn in record.asked_for("vqa"))
        if not questions:
            unscored["vqa"][source] = left_out
            continue
        all_questions += questions
        controls = vqa_controls(questions, training.answers(source) if training else None, config.seed)
        vqa[source] = score_questions(questions, config.bootstrap_draws, config.seed)
        vqa[source] |= {"empty_references": left_out, "controls": controls}
    if not captioning and not vqa:
        raise DataError("No true answer of the test set holds a word: give one that says what is right.")
    scores = {"captioning": captioning, "vqa": vqa, "reference_protocol": score_by_reference_protocol(records)}
    if any(unscored.values()):
        scores[UNSCORED_SOURCES] = unscored
    return Scored(scores, AnswerRows(records, scored_captions, all_questions))


def _score_source(
    captions: CaptionSet,
    records: Sequence[PairedRecord],
    training: TrainingSet | None,
    config: EvaluationConfig,
    meteor: Meteor,
) -> tuple[dict[str, Any], tuple[tuple[str, ...], CaptionScores]]:
    """What is reported of a source's captions, and its images with the scores of each; tokens are not kept."""
    # first, since what it weighs of the training set is gone again before the test set's n-grams are weighed
    controls = caption_controls(captions, training.captions(captions.source) if training else None, config.seed)
    scored = score_captions(captions, meteor)
    reported = {
        "images": len(captions.images),
        "empty_references": captions.empty,
        **dict.fromkeys((*CAPTION_METRICS, SPICE)),
        **scored.corpus,
        "ci95": caption_intervals(scored, config.bootstrap_draws, config.seed),
        "prompt_sensitivity": prompt_sensitivity(captions, records),
        "controls": controls,
        **({} if captions.weighs_words else {NOTE: ONE_IMAGE}),
    }
    return reported, (captions.images, scored)


def _by_source(records: Sequence[PairedRecord], task: Task) -> dict[str, list[PairedRecord]]:
    groups: dict[str, list[PairedRecord]] = defaultdict(list)
    for record in records:
        if record.asked_for(task):
            groups[record.source].append(record)
    return groups
