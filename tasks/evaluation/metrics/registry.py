"""The registry of metrics, read by the protocol, intervals, tables, comparisons, sweeps and the report.

A new metric is one function and one entry here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from tasks.evaluation.caption_metrics import BLEU_ORDERS, CaptionSet, MetricScores, bleu, cider, meteor, rouge_l, spice
from tasks.evaluation.grounding_metrics import AnsweredBoxes, accuracy_at_half, mean_iou
from tasks.evaluation.uncertainty.intervals import RIGHT_SKEWED, PriorSkewness, Range
from tasks.evaluation.vqa_metrics import AnsweredQuestion, accuracy, accuracy_binned, accuracy_lenient
from tasks.prompt_text import Task

PYCOCOEVALCAP = "pycocoevalcap"
RIGHT = "right"
SHARE = Range(0, 1)
EXACT_MATCH = "exact match after normalisation: case, articles, number words, punctuation"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The properties of a metric; `name` is its key in metrics.json."""

    name: str
    # part of the protocol: reports with different versions are not compared; None keeps it out of the protocol
    version: str | None
    # the package that computes it; None for this project
    package: str | None = None
    # whether it has an interval over images
    interval: bool = True
    # whether models are compared by it image by image, which needs a mean over answers
    compared: bool = True
    higher_is_better: bool = True
    # whether it is the score of its task in summaries, sweeps and the gallery; one metric of each task is
    headline: bool = False
    range: Range = SHARE
    # the reason why it may be missing; the report then shows it instead of a column
    optional: str | None = None
    # its key in per_answer.jsonl, if that is not its name
    key: str | None = None

    @property
    def largest_difference(self) -> float:
        """The most that two scores can differ."""
        return self.range.high - self.range.low

    @property
    def column(self) -> str:
        """The key of its score in per_answer.jsonl."""
        return self.key or self.name


@dataclass(frozen=True, kw_only=True)
class CaptionMetric(Metric):
    """A metric of captions: `score` takes all captions of a source; None if the metric is not defined for them."""

    score: Callable[[CaptionSet], MetricScores | None]
    # of its values per image in general, where it is known
    skewness: PriorSkewness | None = None
    # whether the score of some of the images follows from their values
    additive: bool = True


@dataclass(frozen=True, kw_only=True)
class QuestionMetric(Metric):
    """A metric of answers to questions: `score` takes one question; a source's score is the mean over its questions."""

    score: Callable[[AnsweredQuestion], float]


@dataclass(frozen=True, kw_only=True)
class GroundingMetric(Metric):
    """A metric of answers with boxes: `score` takes one answer; a source's score is the mean over its answers."""

    score: Callable[[AnsweredBoxes], float]


CAPTION_METRICS: dict[str, CaptionMetric] = {
    metric.name: metric
    for metric in (
        CaptionMetric(
            name="CIDEr",
            score=cider,
            version="CIDEr-D",
            package=PYCOCOEVALCAP,
            headline=True,
            range=Range(0, 10),
            skewness=RIGHT_SKEWED,
        ),
        *(
            # a mean of BLEU or METEOR scores per image differs from the score itself
            CaptionMetric(
                name=f"BLEU-{order}",
                score=bleu(order),
                version="BLEU (closest)",
                package=PYCOCOEVALCAP,
                compared=False,
            )
            for order in range(1, BLEU_ORDERS + 1)
        ),
        # not additive: only the Java process can combine the parts of several images
        CaptionMetric(
            name="METEOR", score=meteor, version="METEOR 1.5", package=PYCOCOEVALCAP, additive=False, compared=False
        ),
        CaptionMetric(name="ROUGE-L", score=rouge_l, version="ROUGE-L", package=PYCOCOEVALCAP),
        # neither in the protocol nor compared: whether it is there depends on the machine
        CaptionMetric(
            name="SPICE",
            score=spice,
            version=None,
            package=PYCOCOEVALCAP,
            compared=False,
            optional="its models are not installed where this was scored",
        ),
    )
}
QUESTION_METRICS: dict[str, QuestionMetric] = {
    metric.name: metric
    for metric in (
        QuestionMetric(name="accuracy", score=accuracy, version=EXACT_MATCH, headline=True, key=RIGHT),
        # neither in the protocol nor compared: earlier reports stay comparable, and verdicts are on exact match alone
        QuestionMetric(
            name="accuracy_binned", score=accuracy_binned, version=None, compared=False, key=f"{RIGHT}_binned"
        ),
        QuestionMetric(
            name="accuracy_lenient", score=accuracy_lenient, version=None, compared=False, key=f"{RIGHT}_lenient"
        ),
    )
}
GROUNDING_METRICS: dict[str, GroundingMetric] = {
    metric.name: metric
    for metric in (
        GroundingMetric(name="mean_iou", score=mean_iou, version="1", headline=True, key="iou"),
        GroundingMetric(name="acc@0.5", score=accuracy_at_half, version="1"),
    )
}
METRICS_BY_TASK: dict[Task, Mapping[str, Metric]] = {
    "captioning": CAPTION_METRICS,
    "vqa": QUESTION_METRICS,
    "grounding": GROUNDING_METRICS,
}
HEADLINE: dict[Task, str] = {
    task: next(metric.name for metric in metrics.values() if metric.headline)
    for task, metrics in METRICS_BY_TASK.items()
}


def metrics_of(task: Task) -> list[Metric]:
    """The metrics of a task, in the order of tables."""
    return list(METRICS_BY_TASK[task].values())


def compared_metrics() -> list[tuple[Task, Metric]]:
    """The metrics by which models are compared, image by image."""
    return [(task, metric) for task in METRICS_BY_TASK for metric in metrics_of(task) if metric.compared]


def caption_protocol() -> str:
    """The protocol's description of the caption metrics and their versions."""
    packaged = [metric.version for metric in metrics_of("captioning") if metric.version and metric.package]
    named = ", ".join(dict.fromkeys(packaged))
    return "; ".join([f"{PYCOCOEVALCAP} {version(PYCOCOEVALCAP)}: {named}", *_own_versions("captioning")])


def question_protocol() -> str:
    """The protocol's description of the question metrics and their versions."""
    return "; ".join([EXACT_MATCH, *_own_versions("vqa")])


def grounding_protocol() -> str:
    """The protocol's description of the metrics of boxes and their versions."""
    return "; ".join(_own_versions("grounding"))


def added_versions() -> list[str]:
    """Names and versions of the metrics beyond those of pycocoevalcap and exact match."""
    return [version for task in METRICS_BY_TASK for version in _own_versions(task)]


def _own_versions(task: Task) -> list[str]:
    found = [metric for metric in metrics_of(task) if not metric.package and metric.version != EXACT_MATCH]
    return [f"{metric.name} {metric.version}" for metric in found if metric.version]
