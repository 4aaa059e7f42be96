"""Scores of questions as papers print them, and which published protocol each key of metrics.json follows."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tasks.evaluation.vqa_metrics import AREA, COUNT, AnsweredQuestion, accuracy_lenient, is_area, same_bin


class CountingRule(NamedTuple):
    """One way to count right answers: its keys in metrics.json and the papers that print these two numbers.

    `overall` is the accuracy over all questions (OA), `average` the mean of the types' accuracies (AA).
    """

    name: str
    overall: str
    average: str
    overall_papers: str
    average_papers: str


NO_PAPER = "no known paper"
LR, HR = "RSVQA-LR: Lobry et al. 2020", "RSVQA-HR: Lobry et al. 2020"
RULES = (
    CountingRule("exact match", "accuracy", "average_accuracy", NO_PAPER, NO_PAPER),
    CountingRule("counts and areas by bin", "accuracy_binned", "average_accuracy_binned", LR, LR),
    # RSVQA's code bins the counts of LR only
    CountingRule("areas by bin, counts exact", "accuracy_binned_areas", "average_accuracy_binned_areas", HR, HR),
    CountingRule(
        "without counts and areas",
        "accuracy_without_counts",
        "average_accuracy_without_counts",
        "RSVQA-LR: GeoChat, and Qwen-VL in GeoChat's table",
        "RSVQA-LR: EasyToHard, SHRNet, RSGPT, SkyEyeGPT, MiniGPT-v2",
    ),
    CountingRule("lenient match", "accuracy_lenient", "average_accuracy_lenient", NO_PAPER, NO_PAPER),
)
PUBLISHED_AS: Mapping[str, str] = {
    key: f"{mean}, {rule.name} ({papers})"
    for rule in RULES
    for mean, key, papers in (
        ("OA", rule.overall, rule.overall_papers),
        ("AA", rule.average, rule.average_papers),
    )
}


def published_scores(questions: Sequence[AnsweredQuestion]) -> dict[str, float | None]:
    """OA and AA of a source by each rule but exact match, by their keys; None if a rule has no questions.

    The rules that leave out or bin areas alone are those of the papers in `RULES`.
    """
    with_areas = questions if any(map(is_area, questions)) else []
    rest = [asked for asked in questions if asked.type not in (COUNT, AREA)]
    found = (
        _overall_and_average(questions, same_bin),
        _overall_and_average(with_areas, lambda asked: same_bin(asked) if is_area(asked) else asked.right),
        _overall_and_average(rest, lambda asked: asked.right),
        _overall_and_average(questions, accuracy_lenient),
    )
    scores: dict[str, float | None] = {}
    for rule, (overall, average) in zip(RULES[1:], found, strict=True):
        scores |= {rule.overall: overall, rule.average: average}
    return scores


def _overall_and_average(
    questions: Sequence[AnsweredQuestion], right: Callable[[AnsweredQuestion], float]
) -> tuple[float, float] | tuple[None, None]:
    by_type: dict[str, list[float]] = defaultdict(list)
    for asked in questions:
        by_type[asked.type].append(right(asked))
    if not by_type:
        return None, None
    types = [sum(found) / len(found) for _, found in sorted(by_type.items())]
    return sum(map(sum, by_type.values())) / len(questions), sum(types) / len(types)
