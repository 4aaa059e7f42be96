"""The type of a question: what its record states, else its words, by patterns for RSVQA, RSIVQA and GeoChat."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from tasks.prompt_text import bare_prompt

QuestionType = Literal["presence", "comparison", "rural_urban", "scene", "count", "area", "other"]
Patterns = tuple[tuple[QuestionType, re.Pattern[str]], ...]

# The first match wins: "Is the number of A equal to the number of B?" is a comparison, not a count.
PATTERNS: Patterns = (
    ("rural_urban", re.compile(r"\brural\b.*\burban\b|\burban\b.*\brural\b")),
    (
        "comparison",
        re.compile(
            r"\b(more|less|fewer|larger|smaller|greater|higher|lower|bigger)\b.*\bthan\b|\bequal to\b|\bas many\b"
            r"|\bsame (number|amount)\b|\b(number|amount) of\b.*\bthe same as\b|\boutnumber|\bmore numerous\b"
        ),
    ),
    (
        "area",
        # area of buildings in square metres (RSVQA-HR). "Is an area covered by trees?" asks for presence.
        re.compile(
            r"^(?!is\b|are\b|does\b|do\b|can\b|has\b|have\b).*"
            r"(\b(area|surface|space|ground|land) (that is |which is |being )?(covered|occupied|taken)\b"
            r"|\b(surface|total|covered) area of\b|\bwhat is the area of\b"
            r"|\bwhat (area|surface) is (covered|occupied)\b"
            r"|\bhow (much|(large|big) an?|(large|big) (is|are) the) (areas?|surface|space)\b"
            r"|\bhow much of the (area|surface|land|ground|space)\b"
            r"|^(please )?(calculate|estimate|measure|compute|determine|give|provide|state) (me )?the areas? of\b"
            r"|\bhow many (square (met|kilomet|feet|foot)|sq\b|m2\b|m²|km2\b|hectares))"
        ),
    ),
    (
        "count",
        re.compile(
            r"\bhow many\b|\b(number|amount|count|quantity) of\b|^(please )?count\b|\bcount (the|all|every|each)\b"
        ),
    ),
    # before scene: "Is there a road in the scene?"
    (
        "presence",
        re.compile(
            r"^(is|are) there\b|^(does|do) (this|the|these) (picture|image|photo|scene)s? (contain|have|show|include)"
            r"|^(is|are|does|do|has|have)\b.*\bpresent\b|^(can|do) you see\b|\b(if|whether) there (is|are)\b"
        ),
    ),
    (
        "scene",
        re.compile(
            r"\b(theme|land[- ]?use|land[- ]?cover|category|class|classify|(kind|type) of (place|area|land|terrain))\b"
            # not "What is the colour of the ship in the scene?"
            r"|(?<!\bin the )(?<!\bin this )(?<!\bof the )(?<!\bof this )\bscene\b"
            r"|\b(kind|type|name) of (the|this) scene\b|\blabel of (the|this) (image|picture|photo)\b"
        ),
    ),
)
# "Is a farmland on the left of a road in the image?" asks for presence, too.
YES_NO_QUESTION = re.compile(r"^(is|are|does|do|can|has|have)\b")

# a turn's own type precedes that of its record
FIELD = "question_type"
# other names of our types, which have scores of their own; any other name is a type as it is written
NAMES: Mapping[str, QuestionType] = {
    "presence": "presence",
    "existence": "presence",
    "comp": "comparison",
    "compare": "comparison",
    "comparison": "comparison",
    "rural urban": "rural_urban",
    "urban rural": "rural_urban",
    "rural or urban": "rural_urban",
    "urban or rural": "rural_urban",
    "rural vs urban": "rural_urban",
    "count": "count",
    "counts": "count",
    "counting": "count",
    "area": "area",
    "scene": "scene",
    "other": "other",
}


def stated_types(record: Mapping[str, Any]) -> tuple[str | None, ...]:
    """The type that a record states for each of its questions; empty where it states none."""
    of_record = stated_type(record)
    types = [stated_type(turn) or of_record for turn in record["conversations"] if turn["from"] == "human"]
    return tuple(types) if any(types) else ()


def stated_type(fields: Mapping[str, Any]) -> str | None:
    """The type in the field question_type of a turn or record, by our name where it is one of ours; or None."""
    if FIELD not in fields or not isinstance(name := fields[FIELD], str | int):
        return None
    return type_named(str(name)) or None


# a few names are those of a million questions
@lru_cache(maxsize=1000)
def type_named(name: str) -> str:
    """The type with this name: one of ours by our name, any other as it is written."""
    text = " ".join(name.split())
    return NAMES.get(re.sub(r"[\W_]+", " ", text.lower()).strip(), text)


def question_type(question: str, answer: str, patterns: Patterns = PATTERNS) -> QuestionType:
    """The type of a question, from its words and, where no pattern matches, from its reference answer."""
    text = bare_prompt(question)
    for kind, pattern in patterns:
        if pattern.search(text):
            return kind
    is_yes_or_no = answer.strip().lower().rstrip(".") in ("yes", "no")
    return "presence" if is_yes_or_no and YES_NO_QUESTION.match(text) else "other"
