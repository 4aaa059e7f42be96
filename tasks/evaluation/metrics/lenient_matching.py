"""Whether an answer means the reference answer although its form differs: the rules of `accuracy_lenient`."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from tasks.evaluation.metrics.answer_bins import (
    MORE,
    NUMBER,
    RANGE,
    Quantity,
    quantity_of,
    quantity_words,
    range_of,
)
from tasks.evaluation.metrics.answer_matching import normalise_answer, same_answer
from tasks.evaluation.metrics.answer_types import YES_NO

# of a longer answer only the beginning is read
MOST_CHARACTERS = 1000
# in the form of `quantity_words`
SPACED_THOUSANDS = re.compile(r"(?<![0-9.] )\b[0-9]{1,3}(?: [0-9]{3})+\b(?!\.)")
SPELLED = re.compile(
    r"\b(?:([0-9]{1,3}) )?(?:(thousand)(?: (?:and )?([0-9]) hundred)?|hundred)"
    r"(?: (?:and )?([0-9]{1,2})\b(?! (?:hundred|thousand)))?\b"
)
FIRST_QUANTITY = re.compile(f"{RANGE.pattern}|{MORE.pattern}|{NUMBER}")
ZERO_WORDS = frozenset({"no", "0"})
OPTION = re.compile(
    r"\W*(?:(?:the )?(?:correct |right )?(?:answer|option|choice)(?: is)?\W+)?([a-z])(?:[).:]+\s*|\s*$)(.*)", re.DOTALL
)
LIST_SEPARATOR = re.compile(r"[,;/&]|\band\b")
# words that leave the meaning of a short answer as it is
# fmt: off
FILLERS = frozenset({
    "it", "its", "this", "that", "these", "there", "here", "i", "is", "are", "was", "be", "see", "can", "seen",
    "shows", "shown", "show", "located", "in", "on", "at", "of", "to", "by", "with", "from", "as", "image", "picture",
    "photo", "scene", "answer", "object", "category", "class", "type", "kind", "theme", "area", "region", "zone",
    "corner", "side", "part", "location", "position", "belongs", "depicts", "called",
})
# fmt: on


# a few pairs of answers occur many times
@lru_cache(maxsize=10_000)
def lenient_match(answer: str, reference: str) -> bool:
    """Whether an answer is right by the lenient rules; every answer that is right by exact match is.

    By the kind of the reference answer: the first yes or no; the first number, area or bin, where "no" without a number
    is 0; the letter of an option; else the words without fillers, plural endings, blanks and the order of a list.
    """
    answer = answer[:MOST_CHARACTERS]
    plain, truth = normalise_answer(answer), normalise_answer(reference)
    if not plain or not truth:
        return False
    if same_answer(plain, truth):
        return True
    if truth in YES_NO:
        return next((word for word in plain.split() if word in YES_NO), None) == truth
    if quantity := quantity_of(reference):
        found = first_quantity(answer)
        return found is not None and _same_quantity(found, quantity)
    return _same_option(answer, reference) if _option(reference) else _same_words(answer, reference)


def first_quantity(text: str) -> Quantity | None:
    """The first number, area or range in a sentence; 0 for a sentence that has "no" or "none" and no number."""
    words = SPELLED.sub(_spelled_number, quantity_words(text))
    words = SPACED_THOUSANDS.sub(lambda found: found[0].replace(" ", ""), words)
    found = FIRST_QUANTITY.search(words)
    if found is None:
        return Quantity(0, 0) if ZERO_WORDS & set(words.split()) else None
    if RANGE.fullmatch(found[0]) or MORE.fullmatch(found[0]):
        return range_of(found)
    number, _, unit = found[0].partition(" ")
    return Quantity(float(number), float(number), unit)


def _spelled_number(found: re.Match[str]) -> str:
    first, thousand, hundreds, rest = found.groups()
    scaled = int(first or 1) * (1000 if thousand else 100)
    return str(scaled + 100 * int(hundreds or 0) + int(rest or 0))


def _same_quantity(answer: Quantity, reference: Quantity) -> bool:
    if answer.unit not in ("", reference.unit):
        return False
    if reference.low == reference.high:
        return (answer.low, answer.high) == (reference.low, reference.high)
    with_unit = Quantity(answer.low, answer.high, reference.unit)
    if reference.bin is None:
        return reference.low <= answer.low and answer.high <= reference.high
    return with_unit.bin == reference.bin


def _option(text: str) -> tuple[str, str] | None:
    """Letter and text of an option such as "B. airport"; None for other answers."""
    found = OPTION.match(text.casefold())
    return (found[1], found[2]) if found else None


def _same_option(answer: str, reference: str) -> bool:
    given, (letter, text) = _option(answer), _option(reference) or ("", "")
    if given is None:
        return bool(text) and _same_words(answer, text)
    return given[0] == letter and (not given[1] or not text or _same_words(given[1], text))


def _same_words(answer: str, reference: str) -> bool:
    given, expected = (_items(text) for text in (answer, reference))
    if len(given) == len(expected) and all(any(_same_phrase(one, other) for one in given) for other in expected):
        return True
    return _same_phrase(list(chain.from_iterable(given)), list(chain.from_iterable(expected)))


def _items(text: str) -> list[list[str]]:
    """The words of each item of a list, without fillers unless nothing else is left."""
    items = [normalise_answer(item).split() for item in LIST_SEPARATOR.split(text.casefold())]
    return [[word for word in words if word not in FILLERS] or words for words in items if words]


def _same_phrase(one: Sequence[str], other: Sequence[str]) -> bool:
    if _same_noun("".join(one), "".join(other)):
        return True
    return len(one) == len(other) and all(map(_same_noun, one, other))


def _same_noun(one: str, other: str) -> bool:
    return one == other or one in _plurals(other) or other in _plurals(one)


def _plurals(noun: str) -> tuple[str, ...]:
    return (f"{noun}s", f"{noun}es", *([f"{noun[:-1]}ies"] if noun.endswith("y") else ()))
