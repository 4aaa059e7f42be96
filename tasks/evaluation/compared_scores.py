"""Types of a comparison, as comparison.json has them."""

from typing import NotRequired

from typing_extensions import TypedDict

from tasks.evaluation.scores import Interval, Protocol
from tasks.prompt_text import Task


class Difference(TypedDict):
    """One metric of two models on the same images: `difference` is b - a, `verdict` is on b.

    `p_adjusted` is over all tests of a page; comparisons of earlier versions lack it.
    """

    a: float
    b: float
    difference: float
    ci95: Interval
    p_value: float
    p_adjusted: NotRequired[float]
    verdict: str
    images_needed: NotRequired[int | None]
    p_value_holm: NotRequired[float]


# "images" and, for questions, "questions" are counts; every other key is a metric
SourceComparison = dict[str, int | Difference]


class Differences(TypedDict):
    """Differences between two models by source."""

    captioning: dict[str, SourceComparison]
    vqa: dict[str, SourceComparison]
    grounding: NotRequired[dict[str, SourceComparison]]


class ComparedModel(TypedDict):
    """One side of a comparison: the name of its report's folder and the digest of its files."""

    model: str
    sha256: str


class ModelComparison(Differences):
    """comparison.json: two reports on the same test set.

    `unknown_decoding` names the models whose answers are of another program.
    """

    version: int
    a: ComparedModel
    b: ComparedModel
    protocol: Protocol
    draws: int
    unknown_decoding: NotRequired[list[str]]


class SeveralComparisons(TypedDict):
    """Several reports, each compared with the same report A."""

    version: int
    a: ComparedModel
    correction: str
    comparisons: list[ModelComparison]


def compared_sources(compared: Differences, task: Task) -> dict[str, SourceComparison]:
    """The differences of a task by source; empty if there are none."""
    return compared.get(task, {})


def differences_by_metric(compared: SourceComparison) -> dict[str, Difference]:
    """The differences of a source by metric, without its counts."""
    return {name: found for name, found in compared.items() if not isinstance(found, int)}
