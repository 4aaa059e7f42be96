"""All scores of one model's answers: by source and task, with controls and intervals, and one row an answer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.evaluation.answer_rows import Row, answer_rows
from tasks.evaluation.caption_controls import caption_controls
from tasks.evaluation.captions import SPICE, caption_intervals, caption_set, score_captions
from tasks.evaluation.meteor import Meteor
from tasks.evaluation.pairing import PairedRecord, RecordText
from tasks.evaluation.prompt_sensitivity import prompt_sensitivity
from tasks.evaluation.reference_protocol import score_by_reference_protocol
from tasks.evaluation.training_set import known_answers, training_by_source, training_captions
from tasks.evaluation.vqa import answered_questions, score_questions
from tasks.evaluation.vqa_controls import vqa_controls
from tasks.settings import EvaluationConfig


@dataclass(frozen=True)
class Scored:
    """What metrics.json holds besides its protocol, and the rows of per_answer.jsonl."""

    scores: dict[str, Any]
    rows: list[Row]


def score_records(
    records: Sequence[PairedRecord],
    training: Sequence[RecordText] | None,
    config: EvaluationConfig,
    meteor: Meteor | None,
) -> Scored:
    """Scores of one model's answers to a whole test set; controls that need `training` are None without it.

    `meteor` may be None for a test set without captions.
    """
    draws, seed = config.bootstrap_draws, config.seed
    captioning, vqa, scored_captions, all_questions = {}, {}, [], []
    known_captions = training_by_source(training or (), "captioning")
    for source, group in _by_source(records, "captioning").items():
        assert meteor, "captions need METEOR"
        captions = caption_set(source, group)
        scored = score_captions(captions, meteor)
        scored_captions.append((captions.images, scored))
        captioning[source] = {
            "images": len(captions.images),
            SPICE: None,
            **scored.corpus,
            "ci95": caption_intervals(scored, draws, seed),
            "prompt_sensitivity": prompt_sensitivity(captions, group),
            "controls": caption_controls(captions, training_captions(known_captions[source]), seed),
        }
    known_questions = training_by_source(training or (), "vqa")
    for source, group in _by_source(records, "vqa").items():
        questions = answered_questions(group)
        all_questions += questions
        controls = vqa_controls(questions, known_answers(known_questions[source]), seed)
        vqa[source] = score_questions(questions, draws, seed) | {"controls": controls}
    scores = {"captioning": captioning, "vqa": vqa, "reference_protocol": score_by_reference_protocol(records)}
    return Scored(scores, answer_rows(records, scored_captions, all_questions))


def _by_source(records: Sequence[PairedRecord], task: str) -> dict[str, list[PairedRecord]]:
    groups: dict[str, list[PairedRecord]] = defaultdict(list)
    for record in records:
        if record.task == task:
            groups[record.source].append(record)
    return groups
