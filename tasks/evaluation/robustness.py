"""robustness.json: how scores and answers change when the test images are rotated, flipped, compressed or blurred."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from typing_extensions import TypedDict

from tasks.errors import DataError, UserError
from tasks.evaluation.compared_scores import Difference, compared_sources, differences_by_metric
from tasks.evaluation.comparison import compare_rows, verdict_of
from tasks.evaluation.metrics.answer_matching import normalise_answer
from tasks.evaluation.metrics.registry import HEADLINE, METRICS_BY_TASK
from tasks.evaluation.protocol import protocol_differences
from tasks.evaluation.report_folder import ModelReport, read_report
from tasks.evaluation.scores import Interval, Protocol
from tasks.evaluation.tables import AnswerRow
from tasks.evaluation.uncertainty.families import holm
from tasks.prompt_text import Task

# key of the inference settings in a protocol
TRANSFORM = "transform"


class TransformResult(TypedDict):
    """One source under one transform: score `a` of the untransformed images, `b` of the transformed ones.

    `difference` is b - a, paired by image; `consistency` is the share of equal answers, after normalisation.
    """

    transform: str
    task: Task
    source: str
    metric: str
    images: int
    answers: int
    a: float
    b: float
    difference: float
    ci95: Interval
    p_value: float
    p_adjusted: float
    verdict: str
    consistency: float


class Robustness(TypedDict):
    """robustness.json; `correction` says how the p-values were adjusted, and over what."""

    version: int
    correction: str
    results: list[TransformResult]


def compare_transformed(rows: Iterable[AnswerRow], reports: Sequence[Path], protocol: Protocol) -> Robustness:
    """Compare a model's answers, by their rows of per_answer.jsonl, with its reports on transformed images.

    Each source is compared by its headline metric; the p-values of all transforms and sources are one family.
    Raises DataError for a report without a transform, and UserError for one on another test set or protocol.
    """
    results: list[TransformResult] = []
    for path in reports:
        report = read_report(path)
        results += _results(rows, report, _transform_of(report, protocol))
    for each, adjusted in zip(results, holm([one["p_value"] for one in results]), strict=True):
        each["p_adjusted"] = adjusted
        higher_is_better = METRICS_BY_TASK[each["task"]][each["metric"]].higher_is_better
        each["verdict"] = verdict_of(each["difference"], adjusted, higher_is_better)
    return {"version": 1, "correction": "Holm, over all transforms and sources", "results": results}


def _transform_of(report: ModelReport, protocol: Protocol) -> str:
    decoding = report.protocol["decoding"] or {}
    transform = decoding.get(TRANSFORM)
    if not isinstance(transform, str):
        raise DataError(
            f"{report.name} is not a report on transformed images: answer with `rsvlm predict --transform`."
        )
    plain = {**report.protocol, "decoding": {name: decoding[name] for name in decoding if name != TRANSFORM}}
    if different := protocol_differences(protocol, plain):
        raise UserError(
            f"The report {report.name} on transformed images has another protocol, in {', '.join(different)}: "
            "answer and evaluate the same test set in the same way."
        )
    return transform


def _results(rows: Iterable[AnswerRow], report: ModelReport, transform: str) -> list[TransformResult]:
    compared = compare_rows(rows, report.rows)
    equal = _equal_answers(rows, report.rows)
    return [
        _result((transform, task, source), differences[HEADLINE[task]], int(images), equal[task, source])
        for task in METRICS_BY_TASK
        for source, found in compared_sources(compared, task).items()
        # captions of a single image have no CIDEr
        if HEADLINE[task] in (differences := differences_by_metric(found))
        and isinstance(images := found["images"], int)
    ]


def _result(about: tuple[str, Task, str], found: Difference, images: int, equal: Sequence[bool]) -> TransformResult:
    transform, task, source = about
    return {
        "transform": transform,
        "task": task,
        "source": source,
        "metric": HEADLINE[task],
        "images": images,
        "answers": len(equal),
        "a": found["a"],
        "b": found["b"],
        "difference": found["difference"],
        "ci95": found["ci95"],
        "p_value": found["p_value"],
        "p_adjusted": found["p_value"],
        "verdict": found["verdict"],
        "consistency": sum(equal) / len(equal),
    }


def _equal_answers(one: Iterable[AnswerRow], other: Iterable[AnswerRow]) -> dict[tuple[Task, str], list[bool]]:
    """For each answer of a task and source in both, whether the two are equal after normalisation."""
    answers = {(row["record"], row["turn"]): normalise_answer(row["answer"]) for row in one}
    equal: dict[tuple[Task, str], list[bool]] = defaultdict(list)
    for row in other:
        if (before := answers.get((row["record"], row["turn"]))) is not None:
            equal[row["task"], row["source"]].append(before == normalise_answer(row["answer"]))
    return equal
