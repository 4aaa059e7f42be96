"""What kind of thing an answer is: many a wrong answer is none at all, and is counted apart."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from tasks.evaluation.metrics.answer_matching import BIN_EDGES, bin_of, number_of

EMPTY, SENTENCE, OTHER_TYPE = "empty", "sentence", "other_type"
NO_ANSWERS = (EMPTY, SENTENCE, OTHER_TYPE)
YES_NO = frozenset({"yes", "no"})
# beyond these a short answer has become a sentence, unless the truth is as long
SENTENCE_WORDS = 5
BIN_NAMES = (
    str(BIN_EDGES[0]),
    *(f"{low + 1}-{high}" for low, high in pairwise(BIN_EDGES)),
    "more",
)
OTHER = "(other)"
MOST_LABELS = 12

Pair = tuple[str, str]


def kind_of(normalised: str) -> str:
    """Whether a normalised answer is yes or no, a number, or words."""
    if normalised in YES_NO:
        return "yes_no"
    return "words" if number_of(normalised) is None else "number"


def no_answer(answer: str, reference: str) -> str | None:
    """Why a normalised answer is none to a question with this true answer; None when it is one.

    empty: no word in it. sentence: more than five words, and more than the true answer has. other_type: a number
    where yes or no was asked for, and so on.
    """
    if not answer:
        return EMPTY
    words = len(answer.split())
    if words > max(SENTENCE_WORDS, len(reference.split())):
        return SENTENCE
    return None if kind_of(answer) == kind_of(reference) else OTHER_TYPE


def count_no_answers(pairs: Iterable[Pair]) -> dict[str, int]:
    """How many of the (answer, reference) pairs hold no answer, by reason."""
    found = Counter(no_answer(answer, reference) for answer, reference in pairs)
    return {name: found[name] for name in NO_ANSWERS}


def confusion_of(pairs: Sequence[Pair], counts: bool) -> dict[str, dict[str, int]]:
    """How often each true answer was answered how: {truth: {answer: how many}}, from (answer, reference) pairs.

    Counts stand by bin. Answers that are none stand under their reason in brackets; of many different texts the
    twelve most frequent true answers are told apart, and the rest is "(other)".
    """
    frequent = Counter(_label(reference, counts) for _, reference in pairs)
    labels = sorted(frequent, key=lambda label: (-frequent[label], label))[:MOST_LABELS]
    order = [name for name in BIN_NAMES if name in labels] if counts else sorted(labels)
    order += [label for label in sorted(labels) if label not in order]
    table: Counter[Pair] = Counter()
    for answer, reference in pairs:
        truth = _known(_label(reference, counts), labels)
        none = no_answer(answer, reference)
        table[truth, f"({none})" if none else _said(answer, counts, labels)] += 1
    return _as_rows(table, [*order, OTHER])


def _label(normalised: str, counts: bool) -> str:
    number = number_of(normalised) if counts else None
    place = None if number is None else bin_of(number)
    return normalised if place is None else BIN_NAMES[place]


def _known(label: str, labels: Sequence[str]) -> str:
    return label if label in labels else OTHER


def _said(answer: str, counts: bool, labels: Sequence[str]) -> str:
    label = _label(answer, counts)
    # a bin that no true answer is in is still a bin
    return label if counts and label in BIN_NAMES else _known(label, labels)


def _as_rows(table: Mapping[Pair, int], order: Sequence[str]) -> dict[str, dict[str, int]]:
    said = {answer for _, answer in table}
    columns = [name for name in (*BIN_NAMES, *order) if name in said]
    columns = [*dict.fromkeys(columns), *(f"({name})" for name in NO_ANSWERS if f"({name})" in said)]
    rows = [truth for truth in order if any(table.get((truth, column)) for column in columns)]
    return {truth: {column: table.get((truth, column), 0) for column in columns} for truth in rows}
