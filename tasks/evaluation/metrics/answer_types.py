"""Kinds of answers: why an answer is invalid, and confusion tables."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from tasks.evaluation.metrics.answer_matching import BIN_EDGES, bin_of, number_of

EMPTY, SENTENCE, OTHER_TYPE = "empty", "sentence", "other_type"
INVALID_REASONS = (EMPTY, SENTENCE, OTHER_TYPE)
YES_NO = frozenset({"yes", "no"})
# a longer answer is a sentence, unless the reference answer is as long
SENTENCE_WORDS = 5
BIN_NAMES = (
    str(BIN_EDGES[0]),
    *(f"{low + 1}-{high}" for low, high in pairwise(BIN_EDGES)),
    "more",
)
OTHER = "(other)"
MOST_LABELS = 12

# (answer, reference) or (truth, label), all normalised
Pair = tuple[str, str]


def answer_kind(normalised: str) -> str:
    """Whether a normalised answer is yes or no ("yes_no"), a "number" or "words"."""
    if normalised in YES_NO:
        return "yes_no"
    return "words" if number_of(normalised) is None else "number"


def invalid_reason(answer: str, reference: str) -> str | None:
    """Why a normalised answer is invalid for a question with this reference answer; None for a valid one.

    empty: it has no word. sentence: more than five words, and longer than the reference. other_type: not the type of
    the reference, such as a number instead of yes or no.
    """
    if not answer:
        return EMPTY
    words = len(answer.split())
    if words > max(SENTENCE_WORDS, len(reference.split())):
        return SENTENCE
    return None if answer_kind(answer) == answer_kind(reference) else OTHER_TYPE


def count_invalid(pairs: Iterable[Pair]) -> dict[str, int]:
    """Count the (answer, reference) pairs with an invalid answer, by reason."""
    found = Counter(invalid_reason(answer, reference) for answer, reference in pairs)
    return {name: found[name] for name in INVALID_REASONS}


def confusion_of(pairs: Sequence[Pair], counts: bool) -> dict[str, dict[str, int]]:
    """The confusion table {reference answer: {answer: number}} of (answer, reference) pairs.

    Counts are grouped by bin. Invalid answers are under their reason in brackets. Only the 12 most frequent references
    have their own rows and columns; all others are "(other)".
    """
    frequent = Counter(_label(reference, counts) for _, reference in pairs)
    labels = sorted(frequent, key=lambda label: (-frequent[label], label))[:MOST_LABELS]
    order = [name for name in BIN_NAMES if name in labels] if counts else sorted(labels)
    order += [label for label in sorted(labels) if label not in order]
    table: Counter[Pair] = Counter()
    for answer, reference in pairs:
        truth = _known(_label(reference, counts), labels)
        invalid = invalid_reason(answer, reference)
        table[truth, f"({invalid})" if invalid else _answer_label(answer, counts, labels)] += 1
    return _as_rows(table, [*order, OTHER])


def _label(normalised: str, counts: bool) -> str:
    number = number_of(normalised) if counts else None
    number_bin = None if number is None else bin_of(number)
    return normalised if number_bin is None else BIN_NAMES[number_bin]


def _known(label: str, labels: Sequence[str]) -> str:
    return label if label in labels else OTHER


def _answer_label(answer: str, counts: bool, labels: Sequence[str]) -> str:
    label = _label(answer, counts)
    # a bin without reference answers is still a bin
    return label if counts and label in BIN_NAMES else _known(label, labels)


def _as_rows(table: Mapping[Pair, int], order: Sequence[str]) -> dict[str, dict[str, int]]:
    answered = {answer for _, answer in table}
    columns = [name for name in (*BIN_NAMES, *order) if name in answered]
    columns = [*dict.fromkeys(columns), *(f"({name})" for name in INVALID_REASONS if f"({name})" in answered)]
    rows = [truth for truth in order if any(table.get((truth, column)) for column in columns)]
    return {truth: {column: table.get((truth, column), 0) for column in columns} for truth in rows}
