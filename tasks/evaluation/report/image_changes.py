"""The images of each source before and after the training: their scores by the headline metric, and what changed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import mean

from tasks.evaluation.metrics.registry import HEADLINE
from tasks.evaluation.report.gallery import score_of_answer
from tasks.evaluation.report.square_charts import change_of, draw_pairs
from tasks.evaluation.tables import AnswerRow
from tasks.prompt_text import Task

# of the axes: a quarter of each has few digits
ENDS = (1, 2, 4, 6, 8, 10)


@dataclass(frozen=True)
class ImageChanges:
    """The images of one source by their change, and the answers to questions by theirs; `picture` is an SVG element.

    A caption is better or worse by its score; a question is better if its answer was wrong and is right.
    """

    task: Task
    source: str
    metric: str
    images: Counter[str]
    answers: Counter[str]
    picture: str


def image_changes(
    base: Iterable[AnswerRow], rows: Iterable[AnswerRow], label: Callable[[str], str] = str
) -> list[ImageChanges]:
    """The changes of each source by its label, captions first; only answers that have a score in both models count."""
    before = {(row["record"], row["turn"]): score_of_answer(row) for row in base}
    found: dict[tuple[Task, str], dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        one, other = before.get((row["record"], row["turn"])), score_of_answer(row)
        if one is not None and other is not None:
            of_source = found.setdefault((row["task"], row["source"]), defaultdict(list))
            of_source[row["image"]].append((one, other))
    order = sorted(found, key=lambda key: list(HEADLINE).index(key[0]))
    return [_changes(task, label(source), list(found[task, source].values())) for task, source in order]


def _changes(task: Task, source: str, images: list[list[tuple[float, float]]]) -> ImageChanges:
    metric = HEADLINE[task]
    pairs = [(mean(one for one, _ in each), mean(other for _, other in each)) for each in images]
    highest = max(max(pair) for pair in pairs)
    return ImageChanges(
        task=task,
        source=source,
        metric=metric,
        images=Counter(change_of(*pair) for pair in pairs),
        answers=Counter(change_of(*answer) for each in images for answer in each),
        picture=draw_pairs(f"{source} {metric}", pairs, next(end for end in ENDS if highest <= end)),
    )
