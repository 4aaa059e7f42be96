"""Normalise answers to questions: when two answers are the same, and which number an answer is."""

import re
import unicodedata
from functools import lru_cache

# fmt: off
UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
# fmt: on
NUMBER_WORDS = dict(zip(UNITS, range(20), strict=True)) | dict(zip(TENS, range(20, 100, 10), strict=True))
NONE = "none"
ARTICLES = frozenset({"a", "an", "the"})
THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
# Punctuation and symbols, except decimal points and signs of numbers.
NO_WORD = re.compile(r"\.(?![0-9])|(?<=[^0-9\s])\.|(?<!^)(?<!\s)-|-(?![0-9])|[^\w\s.\-]|_")
APOSTROPHES = re.compile("['’`]")
MINUS_SIGN = "\u2212"
NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
BIN_EDGES = (0, 10, 100, 1000)


# a few answers and questions occur many times: each is normalised, and held in memory, once
@lru_cache(maxsize=10_000)
def normalise_answer(text: str) -> str:
    """Normalise an answer for comparison; the result is empty for an answer without a word.

    In this order: NFKC and case folding; removing thousands separators and apostrophes; replacing other punctuation and
    symbols by spaces, except decimal points and signs of numbers; dropping articles (a, an, the) unless nothing else is
    left; writing number words from zero (or none) to ninety-nine as digits.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace(MINUS_SIGN, "-")
    words = NO_WORD.sub(" ", APOSTROPHES.sub("", THOUSANDS.sub("", folded))).split()
    return " ".join(with_digits([word for word in words if word not in ARTICLES] or words))


def with_digits(words: list[str]) -> list[str]:
    """Words with number words from zero (or none) to ninety-nine as digits."""
    result: list[str] = []
    after_tens = False
    for word in words:
        number = 0 if word == NONE else NUMBER_WORDS.get(word)
        if after_tens and number is not None and 0 < number < 10:
            result[-1] = str(int(result[-1]) + number)
        else:
            result.append(word if number is None else str(number))
        after_tens = word in TENS
    return result


def number_of(normalised: str) -> float | None:
    """The number that a normalised answer consists of; None for anything else."""
    return float(normalised) if NUMBER.fullmatch(normalised) else None


def same_answer(answer: str, reference: str) -> bool:
    """Whether two normalised answers are equal texts or equal numbers; an empty answer is never right."""
    if not answer:
        return False
    number = number_of(answer)
    return answer == reference or (number is not None and number == number_of(reference))


def bin_of(number: float) -> int | None:
    """The bin of a count: 0, 1-10, 11-100, 101-1000, more; None for a negative number."""
    if number < 0:
        return None
    return sum(number > edge for edge in BIN_EDGES)
