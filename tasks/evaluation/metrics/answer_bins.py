"""Counts and areas in the bins of RSVQA, read from numbers and from words (Lobry et al. 2020)."""

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from tasks.evaluation.metrics.answer_matching import (
    ARTICLES,
    BIN_EDGES,
    MINUS_SIGN,
    THOUSANDS,
    bin_of,
    normalise_answer,
    number_of,
    with_digits,
)

SQUARE_METRES = "m2"
# a longer answer is a sentence and not a lone quantity
MOST_CHARACTERS = 100
DASHES = re.compile("[\u2010-\u2015]")
AREA_UNITS = re.compile(r"\b(?:square met(?:er|re)s?|sq\.? ?m(?:et(?:er|re)s?)?|m\^2)(?!\w)")
UNIT_AFTER_NUMBER = re.compile(r"(?<=[0-9])(?=m2\b)")
TOKEN = re.compile(r"m2\b|(?<![\w.])[0-9]{1,15}(?:\.[0-9]{1,15})?(?![0-9])|[^\W\d_]+|-(?=\s*[0-9])|>")
NUMBER = r"([0-9]+(?:\.[0-9]+)?)( m2)?(?! ?[0-9])"
RANGE = re.compile(rf"(?:between {NUMBER} (?:and|to|-) {NUMBER}|(?:from )?\b{NUMBER} (?:to|-) {NUMBER})")
MORE = re.compile(rf"(?:\b(?:(?:more|greater|larger|higher) than|over|above)|>) {NUMBER}")
AREA = re.compile(r"\b([0-9]+(?:\.[0-9]+)?) m2\b")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number (`low` equals `high`) or a range of numbers; `unit` is "m2" for areas and empty for counts.

    "more than 1000" has `low` 1000 and an infinite `high`.
    """

    low: float
    high: float
    unit: str = ""

    @property
    def bin(self) -> tuple[str, int] | None:
        """Unit and bin; None for a range that is in no single bin.

        RSVQA's code names the bin 11-100 "between 10 and 100", papers "between 11 and 100": both are read.
        """
        if self.low == self.high:
            number = bin_of(self.low)
            return None if number is None else (self.unit, number)
        if self.low >= BIN_EDGES[-1]:
            return self.unit, len(BIN_EDGES)
        number = bin_of(self.high) or 0
        inside = self.high <= BIN_EDGES[-1] and BIN_EDGES[max(number - 1, 0)] <= self.low < self.high
        return (self.unit, number) if inside else None


def quantity_words(text: str) -> str:
    """The numbers, words, dashes and > of an answer with blanks between them, in the form that the patterns read.

    Number words from zero to ninety-nine are digits, square metres are m2, and articles are left out.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace(MINUS_SIGN, "-")
    folded = THOUSANDS.sub("", AREA_UNITS.sub("m2", DASHES.sub("-", folded)))
    words = TOKEN.findall(UNIT_AFTER_NUMBER.sub(" ", folded))
    return " ".join(with_digits([word for word in words if word not in ARTICLES]))


def range_of(found: re.Match[str]) -> Quantity:
    """The range that `RANGE` or `MORE` found."""
    parts = [part for part in found.groups() if part]
    numbers = [float(part) for part in parts if not part.endswith(SQUARE_METRES)]
    unit = SQUARE_METRES if len(parts) > len(numbers) else ""
    return Quantity(numbers[0], numbers[1] if len(numbers) > 1 else math.inf, unit)


def quantity_of(text: str) -> Quantity | None:
    """The quantity that an answer consists of: "47", "0m2", "between 11 and 100"; None for anything else."""
    if len(text) > MOST_CHARACTERS:
        return None
    words = quantity_words(text)
    if found := RANGE.fullmatch(words) or MORE.fullmatch(words):
        return range_of(found)
    if found := AREA.fullmatch(words):
        return Quantity(float(found[1]), float(found[1]), SQUARE_METRES)
    number = number_of(normalise_answer(text))
    return None if number is None else Quantity(number, number)


# a few answers occur many times
@lru_cache(maxsize=10_000)
def bin_of_answer(text: str) -> tuple[str, int] | None:
    """Unit and bin of an answer that is a count, an area or a bin in words; None for anything else."""
    quantity = quantity_of(text)
    return None if quantity is None else quantity.bin
