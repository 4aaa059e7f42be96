"""Types of metrics.json, as its JSON has them.

Scores by metric are further keys of a source's object, named as in the registry of metrics: read them with
`metric_value`.
"""

from collections.abc import Mapping
from typing import NotRequired, cast

from typing_extensions import TypedDict

from tasks.evaluation.metrics.calibration import Calibration
from tasks.evaluation.metrics.yes_bias import YesBias
from tasks.prompt_text import Task

# [low, high] of the 95 % interval; None if there is none
Interval = list[float] | None
# scores, counts and one caption by name; None if a control is not known
Controls = Mapping[str, float | str | None]


class PartialAnswers(TypedDict):
    """How many of a test set's questions are answered; the others are not scored."""

    answered: int
    questions: int


class AnswerOrigin(TypedDict):
    """The file of another program that answers are from, and how many of them were matched by what.

    `repeated` counts answers that were given twice, `foreign` those to no question of the test set.
    """

    file: str
    format: str
    matched_by: dict[str, int]
    repeated: int
    foreign: int


class EvaluatedSet(TypedDict):
    """The test set of a report; `images` is "all" or "clean", `partial` is there where not all of it is answered."""

    records: int
    sha256: str
    images: str
    partial: NotRequired[PartialAnswers]


class ComparedProtocol(TypedDict):
    """Everything that must be equal before two scores may be compared."""

    version: int
    tokenizer: str
    metrics: str
    hypothesis: str
    references: str
    document_frequency: str
    vqa: str
    # only in reports with such questions
    grounding: NotRequired[str]
    count_bins: str
    shuffling_seed: int
    decoding: dict[str, object] | None
    test_set: EvaluatedSet


class Protocol(ComparedProtocol):
    """How scores were computed; `fingerprint` is the SHA-256 of all but how intervals are computed.

    Reports of earlier versions have `bootstrap` in place of `intervals`.
    """

    intervals: NotRequired[dict[str, object]]
    bootstrap: NotRequired[dict[str, object]]
    fingerprint: str


class Gain(TypedDict):
    """The gain over an image-blind baseline: `value` is the difference of scores on the same questions.

    `p` is two-sided, None if there are too few images for a test; `p_adjusted` is over all sources of a page.
    """

    baseline: str
    value: float
    ci95: Interval
    p: float | None
    p_adjusted: float | None
    shown: bool


class SourceScores(TypedDict):
    """Scores of one source: `controls` by name, and one more key for each metric.

    `gain` is that of the headline metric, None without a baseline; reports of earlier versions lack it.
    """

    images: int
    ci95: dict[str, Interval]
    controls: Controls
    gain: NotRequired[Gain | None]
    empty_references: int


class PromptSensitivity(TypedDict):
    """CIDEr of several answers per image, one for each prompt."""

    images: int
    answers: int
    mean: float
    worst: float
    best: float
    within_image_deviation: float
    same_answer_share: float
    by_prompt: dict[str, dict[str, float]]


class ClassScores(TypedDict):
    """Scores of the images of one scene class: one more key for each metric, `questions` for answers only."""

    images: int
    questions: NotRequired[int]
    ci95: dict[str, Interval]


Diversity = TypedDict(
    "Diversity",
    {
        "distinct-1": float | None,
        "distinct-2": float | None,
        "mean_length": float,
        "median_length": float,
        "reference_mean_length": float,
        "reference_median_length": float,
    },
)


class CaptionScores(SourceScores):
    """Scores of a source's captions; `note` says why there is no CIDEr. `by_class` has the worst class first."""

    prompt_sensitivity: PromptSensitivity | None
    diversity: Diversity
    by_class: NotRequired[dict[str, ClassScores]]
    note: NotRequired[str]


class TypeScores(TypedDict):
    """Scores of one type of question; the last three are for counts, `yes_bias` for yes or no as reference answers."""

    questions: int
    accuracy: float
    ci95: dict[str, Interval]
    no_answer: dict[str, int]
    confusion: dict[str, dict[str, int]]
    accuracy_binned: float
    accuracy_lenient: float
    yes_bias: NotRequired[YesBias]
    mean_absolute_error: NotRequired[float | None]
    median_absolute_error: NotRequired[float | None]
    no_number: NotRequired[int]


class VqaScores(SourceScores):
    """Scores of a source's questions; `by_class` has the worst class first.

    OA and AA by several rules, None if a rule has no questions; `published_as` names rule and papers by key.
    `calibration` is None without the probabilities of the answers.
    """

    questions: int
    accuracy: float
    average_accuracy: float
    accuracy_binned: float
    average_accuracy_binned: float
    accuracy_binned_areas: float | None
    average_accuracy_binned_areas: float | None
    accuracy_without_counts: float | None
    average_accuracy_without_counts: float | None
    accuracy_lenient: float
    average_accuracy_lenient: float
    published_as: dict[str, str]
    yes_bias: YesBias | None
    yes_bias_all: YesBias | None
    no_answer: dict[str, int]
    by_type: dict[str, TypeScores]
    by_class: NotRequired[dict[str, ClassScores]]
    # reports of earlier versions do not have it
    calibration: NotRequired[Calibration | None]


class GroundingScores(SourceScores):
    """Scores of a source's questions for boxes, with one more key for each metric.

    An answer that is not readable counts as 0; `unreadable` has their number by reason, `mean_iou_readable` leaves them
    out. `conventions` are those of the references: form, layout and scale.
    """

    questions: int
    mean_iou_readable: float | None
    unreadable: dict[str, int]
    conventions: list[dict[str, str]]


class ReferenceScores(TypedDict):
    """The score of the reference scripts."""

    records: int
    CIDEr: float
    CIDEr_nonzero: float | None


class Scores(TypedDict):
    """Scores by source, of captions, of questions and, if there are any, of questions for boxes."""

    captioning: dict[str, CaptionScores]
    vqa: dict[str, VqaScores]
    grounding: NotRequired[dict[str, GroundingScores]]


class ModelScores(Scores):
    """Scores of one model on a whole test set.

    `without_references` counts the references of sources whose references all have no word, which are not scored.
    """

    reference_protocol: ReferenceScores
    without_references: NotRequired[dict[Task, dict[str, int]]]


class CleanScores(Scores):
    """Scores on the clean images of a test set only."""

    images: int


class Metrics(ModelScores):
    """metrics.json; `answers` are those of another program, `partial` is there if not all questions are answered.

    `data` says that the test set is not of the sources whose names it has, but drawn by rsvlm.
    """

    version: int
    protocol: Protocol
    clean: NotRequired[CleanScores]
    answers: NotRequired[AnswerOrigin]
    partial: NotRequired[PartialAnswers]
    data: NotRequired[str]


def of_task(scores: Scores, task: Task) -> Mapping[str, SourceScores]:
    """The scores of a task by source; empty if there are none."""
    found: Mapping[str, SourceScores] = scores.get(task, {})
    return found


def metric_value(scores: SourceScores | TypeScores | ClassScores, metric: str) -> float | None:
    """The score by a metric; None if it was not computed."""
    return cast(Mapping[str, float | None], scores).get(metric)


def control_score(controls: Controls, name: str) -> float | None:
    """The score of a control; None if it is not known."""
    value = controls.get(name)
    return None if isinstance(value, str) else value
