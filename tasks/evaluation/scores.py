"""Types of metrics.json and of a comparison, as their JSON has them.

Scores by metric are further keys of a source's object, named as in the registry of metrics: read them with
`metric_value`.
"""

from collections.abc import Mapping
from typing import NotRequired, cast

from typing_extensions import TypedDict

from tasks.prompt_text import Task

# [low, high] of the 95 % interval; None where there is none
Interval = list[float] | None
# scores, counts and one caption by name; None where a control is not known
Controls = Mapping[str, float | str | None]


class EvaluatedSet(TypedDict):
    """The test set of a report; `images` is "all" or "clean"."""

    records: int
    sha256: str
    images: str


class ComparedProtocol(TypedDict):
    """Everything that must be equal before two scores may be compared."""

    version: int
    tokenizer: str
    metrics: str
    hypothesis: str
    references: str
    document_frequency: str
    vqa: str
    count_bins: str
    shuffling_seed: int
    decoding: dict[str, object] | None
    test_set: EvaluatedSet


class Protocol(ComparedProtocol):
    """How scores were computed; `fingerprint` is the SHA-256 of all but the bootstrap's settings."""

    bootstrap: dict[str, object]
    fingerprint: str


class SourceScores(TypedDict):
    """Scores of one source: `controls` by name, and one more key for each metric."""

    images: int
    ci95: dict[str, Interval]
    controls: Controls
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


class CaptionScores(SourceScores):
    """Scores of a source's captions; `note` says why there is no CIDEr."""

    prompt_sensitivity: PromptSensitivity | None
    note: NotRequired[str]


class TypeScores(TypedDict):
    """Scores of one type of question; the last three are for counts only."""

    questions: int
    accuracy: float
    ci95: dict[str, Interval]
    no_answer: dict[str, int]
    confusion: dict[str, dict[str, int]]
    accuracy_binned: NotRequired[float]
    mean_absolute_error: NotRequired[float | None]
    no_number: NotRequired[int]


class CalibrationBin(TypedDict):
    """The answers with a probability above `low` and up to `high`: their mean probability and accuracy."""

    low: float
    high: float
    answers: int
    probability: float
    accuracy: float


class Calibration(TypedDict):
    """How well the probabilities of answers agree with their accuracy; AUROC needs right and wrong answers."""

    answers: int
    ECE: float
    AUROC: float | None
    bins: list[CalibrationBin]


class VqaScores(SourceScores):
    """Scores of a source's questions; `calibration` is None without the probabilities of the answers."""

    questions: int
    accuracy: float
    average_accuracy: float
    no_answer: dict[str, int]
    by_type: dict[str, TypeScores]
    # reports of earlier versions do not have it
    calibration: NotRequired[Calibration | None]


class ReferenceScores(TypedDict):
    """The score of the reference scripts."""

    records: int
    CIDEr: float
    CIDEr_nonzero: float | None


class Scores(TypedDict):
    """Scores by source, of captions and of questions."""

    captioning: dict[str, CaptionScores]
    vqa: dict[str, VqaScores]


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
    """metrics.json."""

    version: int
    protocol: Protocol
    clean: NotRequired[CleanScores]


class Difference(TypedDict):
    """One metric of two models on the same images: `difference` is b - a, `verdict` is on b."""

    a: float
    b: float
    difference: float
    ci95: Interval
    p_value: float
    verdict: str
    images_needed: NotRequired[int | None]
    p_value_holm: NotRequired[float]


# "images" and, for questions, "questions" are counts; every other key is a metric
SourceComparison = dict[str, int | Difference]


class Differences(TypedDict):
    """Differences between two models by source."""

    captioning: dict[str, SourceComparison]
    vqa: dict[str, SourceComparison]


class ComparedModel(TypedDict):
    """One side of a comparison: the name of its report's folder and the digest of its files."""

    model: str
    sha256: str


class ModelComparison(Differences):
    """comparison.json: two reports on the same test set."""

    version: int
    a: ComparedModel
    b: ComparedModel
    protocol: Protocol
    draws: int


class SeveralComparisons(TypedDict):
    """Several reports, each compared with the same report A."""

    version: int
    a: ComparedModel
    correction: str
    comparisons: list[ModelComparison]


def metric_value(scores: SourceScores | TypeScores, metric: str) -> float | None:
    """The score by a metric; None where it was not computed."""
    return cast(Mapping[str, float | None], scores).get(metric)


def control_score(controls: Controls, name: str) -> float | None:
    """The score of a control; None where it is not known."""
    value = controls.get(name)
    return None if isinstance(value, str) else value


def differences_by_metric(compared: SourceComparison) -> dict[str, Difference]:
    """The differences of a source by metric, without its counts."""
    return {name: found for name, found in compared.items() if not isinstance(found, int)}
