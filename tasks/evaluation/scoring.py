"""All scores of one model's answers: by source and task, with controls and intervals, and one row per answer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import cast

from tasks.errors import DataError
from tasks.evaluation.answer_means import means_over_answers
from tasks.evaluation.caption_metrics import CaptionSet, MetricScores, caption_set
from tasks.evaluation.controls.caption_controls import caption_controls
from tasks.evaluation.controls.training_set import AnswerCounts, TrainingSet
from tasks.evaluation.controls.vqa_controls import vqa_controls
from tasks.evaluation.gains import gain_over, show_gains
from tasks.evaluation.grounding_scores import score_grounding
from tasks.evaluation.metrics.answer_matching import number_of
from tasks.evaluation.metrics.answer_types import Pair, confusion_of, count_invalid
from tasks.evaluation.metrics.calibration import calibration
from tasks.evaluation.metrics.caption_diversity import caption_diversity
from tasks.evaluation.metrics.meteor import Meteor
from tasks.evaluation.metrics.registry import CAPTION_METRICS, HEADLINE, QUESTION_METRICS, CaptionMetric
from tasks.evaluation.metrics.yes_bias import yes_bias
from tasks.evaluation.pairing import PairedRecord
from tasks.evaluation.prompt_sensitivity import prompt_sensitivity
from tasks.evaluation.published_protocols import PUBLISHED_AS, published_scores
from tasks.evaluation.reference_cider import score_by_reference_protocol
from tasks.evaluation.scene_classes import group_by_class, worst_first
from tasks.evaluation.scores import CaptionScores, ClassScores, Interval, ModelScores, TypeScores, VqaScores
from tasks.evaluation.tables import AnswerRows
from tasks.evaluation.uncertainty.intervals import score_interval
from tasks.evaluation.uncertainty.moments import pseudo_values
from tasks.evaluation.vqa_metrics import (
    COUNT,
    PRESENCE,
    AnsweredQuestion,
    absolute_error,
    answered_questions,
    lacks_reference,
)
from tasks.prompt_text import Task
from tasks.settings import EvaluationConfig

NO_CIDER = "CIDEr is not defined for a single image: its document-frequency weights would all be 0."


@dataclass(frozen=True)
class Scored:
    """The scores of one model for metrics.json, and the rows of per_answer.jsonl."""

    scores: ModelScores
    rows: AnswerRows


def score_records(
    records: Sequence[PairedRecord],
    training: TrainingSet | None,
    config: EvaluationConfig,
    meteor: Meteor | None,
) -> Scored:
    """Score one model's answers to a whole test set; controls that need `training` are None without it.

    `meteor` may be None for a test set without captions. Raises DataError if no reference answer contains a word.
    """
    captioning: dict[str, CaptionScores] = {}
    vqa: dict[str, VqaScores] = {}
    grounding = score_grounding(records)
    unscored: dict[Task, dict[str, int]] = {"captioning": {}, "vqa": {}, **grounding.unscored}
    scored_captions, all_questions = [], []
    for source, group in _by_source(records, "captioning").items():
        captions = caption_set(source, group, meteor)
        if not captions.images:
            unscored["captioning"][source] = captions.empty
            continue
        captioning[source], scored = _caption_scores(captions, group, training, config)
        # without the captions: their tokens are no longer needed
        scored_captions.append((captions.images, {name: found.each for name, found in scored.items()}))
    for source, group in _by_source(records, "vqa").items():
        if questions := answered_questions(group):
            all_questions += questions
            known = training.answers(source) if training else None
            vqa[source] = _vqa_scores(source, questions, _empty_references(group), known, config)
        else:
            unscored["vqa"][source] = _empty_references(group)
    if not (captioning or vqa or grounding.scores):
        raise DataError("No reference answer in the test set contains a word: give a test set with references.")
    show_gains(scores.get("gain") for scores in (*captioning.values(), *vqa.values()))
    reference = score_by_reference_protocol(records)
    all_scores = ModelScores(captioning=captioning, vqa=vqa, reference_protocol=reference)
    if grounding.scores:
        all_scores["grounding"] = grounding.scores
    if any(unscored.values()):
        all_scores["without_references"] = unscored
    return Scored(all_scores, AnswerRows(records, scored_captions, all_questions, grounding.answers))


def _by_source(records: Sequence[PairedRecord], task: Task) -> dict[str, list[PairedRecord]]:
    groups: dict[str, list[PairedRecord]] = defaultdict(list)
    for record in records:
        if record.asked_for(task):
            groups[record.source].append(record)
    return groups


def _empty_references(records: Sequence[PairedRecord]) -> int:
    return sum(lacks_reference(turn) for record in records for turn in record.asked_for("vqa"))


def _vqa_scores(
    source: str,
    questions: Sequence[AnsweredQuestion],
    empty: int,
    training: AnswerCounts | None,
    config: EvaluationConfig,
) -> VqaScores:
    """The scores of a source's questions for metrics.json; `empty` of its references have no word."""
    controls = vqa_controls(questions, training, config.seed)
    found = {
        **score_questions(questions),
        **_question_classes(source, questions),
        "empty_references": empty,
        "controls": controls.scores,
        "gain": gain_over(controls.statistics, QUESTION_METRICS[HEADLINE["vqa"]].largest_difference),
    }
    return cast(VqaScores, found)


def _caption_scores(
    captions: CaptionSet, records: Sequence[PairedRecord], training: TrainingSet | None, config: EvaluationConfig
) -> tuple[CaptionScores, dict[str, MetricScores]]:
    """The scores of a source's captions for metrics.json, and by metric."""
    # first, so that the training set's n-grams are freed before those of the test set are counted
    controls = caption_controls(captions, training.captions(captions.source) if training else None, config.seed)
    scored = score_captions(captions)
    found = {
        "images": len(captions.images),
        "empty_references": captions.empty,
        **{name: scored[name].corpus if name in scored else None for name in CAPTION_METRICS},
        "ci95": caption_intervals(scored),
        "prompt_sensitivity": prompt_sensitivity(captions, records),
        "diversity": caption_diversity(captions.hypotheses, captions.references),
        **_caption_classes(captions, scored),
        "controls": controls.scores,
        "gain": gain_over(controls.statistics, CAPTION_METRICS[HEADLINE["captioning"]].largest_difference),
        **({} if captions.has_cider else {"note": NO_CIDER}),
    }
    return cast(CaptionScores, found), scored


def score_captions(captions: CaptionSet) -> dict[str, MetricScores]:
    """The scores of a source by metric, as fractions; metrics that are not defined or not installed are left out.

    The document frequency is that of all images given: give the whole test set of a source at once.
    """
    scored = {name: metric.score(captions) for name, metric in CAPTION_METRICS.items()}
    return {name: found for name, found in scored.items() if found is not None}


def caption_intervals(scored: Mapping[str, MetricScores]) -> dict[str, Interval]:
    """95 % intervals over images by metric; that of an undefined headline metric is None."""
    undefined: dict[str, Interval] = {HEADLINE["captioning"]: None}
    return undefined | {name: caption_interval(found, CAPTION_METRICS[name]) for name, found in scored.items()}


def caption_interval(scored: MetricScores, metric: CaptionMetric) -> Interval:
    """The 95 % interval of a metric over images; None for a single image and for equal scores.

    For a corpus score that is not the mean of its images, such as METEOR, it is that of the mean, moved to the score.
    """
    values = scored.each if scored.statistics is None else pseudo_values(scored.statistics, scored.from_sums)
    return score_interval(values + (scored.corpus - float(values.mean())), metric.range, metric.skewness)


def _caption_classes(captions: CaptionSet, scored: Mapping[str, MetricScores]) -> dict[str, dict[str, ClassScores]]:
    """`by_class`, under the document frequency of the whole source; empty where no scene class is known."""
    by_class = {}
    for name, members in group_by_class(captions.source, captions.images, range(len(captions.images))).items():
        found = {
            metric: scores.of_images(members) for metric, scores in scored.items() if CAPTION_METRICS[metric].additive
        }
        headline = {metric: scores for metric, scores in found.items() if CAPTION_METRICS[metric].headline}
        by_class[name] = {
            "images": len(members),
            **{metric: scores.corpus for metric, scores in found.items()},
            "ci95": caption_intervals(headline),
        }
    return _worst_first("captioning", by_class)


def _question_classes(source: str, questions: Sequence[AnsweredQuestion]) -> dict[str, dict[str, ClassScores]]:
    """`by_class`; empty where no scene class is known."""
    by_class = {}
    for name, asked in group_by_class(source, [each.image for each in questions], questions).items():
        scores, intervals = _means(asked)
        images = len({each.image for each in asked})
        by_class[name] = {"images": images, "questions": len(asked), **scores, "ci95": intervals}
    return _worst_first("vqa", by_class)


def _worst_first(task: Task, by_class: Mapping[str, object]) -> dict[str, dict[str, ClassScores]]:
    classes = cast(Mapping[str, ClassScores], by_class)
    return {"by_class": worst_first(classes, HEADLINE[task])} if classes else {}


def score_questions(questions: Sequence[AnsweredQuestion]) -> dict[str, object]:
    """The scores of a source's questions, with intervals over images, and those of each type.

    `average_accuracy` is the mean of the types' accuracies; `no_answer` counts the invalid answers, which are wrong.
    `yes_bias` is that of presence questions, `yes_bias_all` of all questions with yes or no as reference answer.
    """
    by_type = defaultdict(list)
    for asked in questions:
        by_type[asked.type].append(asked)
    types = {name: _score_type(name, by_type[name]) for name in sorted(by_type)}
    scores, intervals = _means(questions)
    published = published_scores(questions)
    return {
        "images": len({asked.image for asked in questions}),
        "questions": len(questions),
        "accuracy": scores.pop("accuracy"),
        "average_accuracy": sum(found["accuracy"] for found in types.values()) / len(types),
        **scores,
        **published,
        "published_as": {key: text for key, text in PUBLISHED_AS.items() if published.get(key, 0.0) is not None},
        "ci95": intervals,
        "no_answer": count_invalid((asked.answer, asked.reference) for asked in questions),
        "yes_bias": yes_bias(_pairs(by_type[PRESENCE])) if PRESENCE in types else None,
        "yes_bias_all": yes_bias(_pairs(questions)),
        "by_type": types,
        "calibration": calibration([(a.probability, a.right) for a in questions if a.probability is not None]),
    }


def _pairs(questions: Sequence[AnsweredQuestion]) -> list[Pair]:
    return [(asked.answer, asked.reference) for asked in questions]


def _means(questions: Sequence[AnsweredQuestion]) -> tuple[dict[str, float], dict[str, Interval]]:
    return means_over_answers(questions, QUESTION_METRICS)


def _score_type(name: str, questions: Sequence[AnsweredQuestion]) -> TypeScores:
    pairs = _pairs(questions)
    bias = yes_bias(pairs)
    scores, intervals = _means(questions)
    found = {
        "questions": len(questions),
        **scores,
        "ci95": intervals,
        "no_answer": count_invalid(pairs),
        **({"yes_bias": bias} if bias else {}),
        **(_score_counts(questions) if name == COUNT else {}),
        "confusion": confusion_of(pairs, counts=name == COUNT),
    }
    return cast(TypeScores, found)


def _score_counts(questions: Sequence[AnsweredQuestion]) -> dict[str, object]:
    """Mean and median absolute error of counts.

    An answer that is not a number has no absolute error: mean and median are over the answers that are numbers, and
    `no_number` counts the others.
    """
    errors = [error for asked in questions if (error := absolute_error(asked)) is not None]
    return {
        "mean_absolute_error": sum(errors) / len(errors) if errors else None,
        "median_absolute_error": median(errors) if errors else None,
        "no_number": sum(number_of(asked.answer) is None for asked in questions),
    }
