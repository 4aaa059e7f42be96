"""How often a test sees a difference where there is none."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import numpy as np
from cells import ONE_SIDE, PAGE, Case
from real_values import SOURCES, difference, right_answers, scores

from tasks.evaluation.comparison import compare_rows
from tasks.evaluation.gains import gain_over, show_gains
from tasks.evaluation.tables import AnswerRow
from tasks.evaluation.uncertainty.moments import FEWEST_IMAGES, Floats
from tasks.evaluation.uncertainty.paired import paired_test

SIZES = (FEWEST_IMAGES, 7, 10, 20, 50, 100, 500)
PAGE_SIZES = (7, 20, 50, 100)
# pairs of answers: the better of the two is worse on few images by much, which is the hard case
UNLIKE = (("best_of_five", "peer"), ("peer", "any_image"), ("class_consensus", "peer"))
# questions per image, and the intra-image correlations of the right answers of two models
QUESTIONS = ((1, 0.0, 0.0), (5, 0.02, 0.02), (5, 0.3, 0.3), (20, 0.1, 0.1), (100, 0.05, 0.02))
GAIN_SOURCES = 4

# (generator, images) -> a difference by image, or the statistics of a gain
Draw = Callable[[np.random.Generator, int], Floats]


def of_paired_test() -> Iterator[Case]:
    """The paired test: real differences moved to a mean of 0; each side on its own."""
    for source in SOURCES:
        yield from _sides(f"{source} peer - second_peer", _of_real(difference(source, "peer", "second_peer")))
    for source in SOURCES:
        for better, worse in UNLIKE:
            yield from _sides(f"{source} {better} - {worse}", _of_real(difference(source, better, worse)))
    yield from _sides("normal", lambda random, images: random.normal(size=images))


def _of_real(values: Floats) -> Draw:
    return lambda random, images: values[random.integers(0, len(values), images)]


def _sides(row: str, draw: Draw) -> Iterator[Case]:
    def happens(images: int, better: bool, random: np.random.Generator) -> bool:
        test = paired_test(draw(random, images))
        return (test.gain if better else test.loss) < 0.025

    for images in SIZES:
        for better in (True, False):
            name = f"{row}, {'better' if better else 'worse'}"
            yield Case(name, str(images), ONE_SIDE, partial(happens, images, better))


def of_gains() -> Iterator[Case]:
    """Gains over a baseline of the same quality that are "shown" by a report with one source."""
    for share in (0.93, 0.5):
        for questions, own, blind in QUESTIONS:
            row = f"accuracy {share}, {questions} questions, correlations {own:g} and {blind:g}"
            yield from _shown(row, _equal_accuracy(share, questions, own, blind))
    for source in SOURCES:
        yield from _shown(f"{source} CIDEr peer and second_peer", _captions(source, "peer", "second_peer"))
        yield from _shown(f"{source} CIDEr peer and any_image", _captions(source, "peer", "any_image"))


def _equal_accuracy(share: float, questions: int, own: float, blind: float) -> Draw:
    def draw(random: np.random.Generator, images: int) -> Floats:
        asked = np.full(images, float(questions))
        right = [right_answers(random, asked, share, correlation) for correlation in (own, blind)]
        return np.stack([*right, asked], axis=1)

    return draw


def _captions(source: str, own: str, blind: str) -> Draw:
    of_own, of_blind = scores(source, "CIDEr", own), scores(source, "CIDEr", blind)
    moved = of_blind + (of_own.mean() - of_blind.mean())

    def draw(random: np.random.Generator, images: int) -> Floats:
        drawn = random.integers(0, len(of_own), images)
        return np.stack([of_own[drawn], moved[drawn], np.ones(images)], axis=1)

    return draw


def _shown(row: str, draw: Draw) -> Iterator[Case]:
    def happens(images: int, random: np.random.Generator) -> bool:
        gain = gain_over({"constant": draw(random, images)})
        show_gains([gain])
        assert gain is not None
        return gain["shown"]

    for images in SIZES:
        yield Case(row, str(images), ONE_SIDE, partial(happens, images))


def of_pages() -> Iterator[Case]:
    """Any verdict on a page: four sources, with two metrics where they have captions, as one family."""
    for row, exchanged in (("compare, like models", True), ("compare, best_of_five - peer", False)):
        for images in PAGE_SIZES:
            yield Case(row, str(images), PAGE, partial(_any_verdict, images, exchanged), 0.5)
    for images in PAGE_SIZES:
        yield Case(f"gains of {GAIN_SOURCES} sources", str(images), PAGE, partial(_any_shown, images))


def _any_verdict(images: int, exchanged: bool, random: np.random.Generator) -> bool:
    a, b = [], []
    for source in SOURCES:
        names = ("peer", "second_peer") if exchanged else ("peer", "best_of_five")
        drawn = random.integers(0, len(scores(source, "CIDEr", "peer")), images)
        # like models: which of the two is whose differs by image
        swap = random.random(images) < 0.5 if exchanged else np.zeros(images, bool)
        for metric in ("CIDEr", "ROUGE-L"):
            of_a, of_b = (scores(source, metric, name) for name in names)
            of_b = of_b + (0.0 if exchanged else of_a.mean() - of_b.mean())
            first, second = of_a[drawn], of_b[drawn]
            a.append((source, metric, np.where(swap, second, first)))
            b.append((source, metric, np.where(swap, first, second)))
    right = [right_answers(random, np.ones(images), 0.8, 0.0) for _ in range(2)]
    found = compare_rows(_rows([*a, ("LR", "right", right[0])]), _rows([*b, ("LR", "right", right[1])]))
    verdicts = (
        metric["verdict"]
        for task in (found["captioning"], found["vqa"])
        for of_source in task.values()
        for metric in of_source.values()
        if isinstance(metric, dict)
    )
    return any(verdict != "tie" for verdict in verdicts)


def _rows(columns: list[tuple[str, str, Floats]]) -> list[AnswerRow]:
    """Rows of per_answer.jsonl, as far as a comparison reads them."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for source, column, values in columns:
        for number, value in enumerate(values):
            name = f"{source}/{number:03}"
            row = rows.setdefault((source, number), {"record": name, "turn": 0, "image": name, "source": source})
            row[column] = float(value)
    return cast(list[AnswerRow], list(rows.values()))


def _any_shown(images: int, random: np.random.Generator) -> bool:
    draws = [*(_captions(source, "peer", "second_peer") for source in SOURCES), _equal_accuracy(0.93, 5, 0.02, 0.02)]
    gains = [gain_over({"constant": draw(random, images)}) for draw in draws]
    show_gains(gains)
    return any(gain is not None and gain["shown"] for gain in gains)
