"""What kind of question it is: by its words, in the phrasings of RSVQA-LR, RSIVQA and the embedded sample."""

import re
from typing import Literal

QuestionType = Literal["presence", "comparison", "rural_urban", "scene", "count", "other"]
Patterns = tuple[tuple[QuestionType, re.Pattern[str]], ...]

# In this order: "Is the number of A equal to the number of B?" compares, though it speaks of numbers.
PATTERNS: Patterns = (
    ("rural_urban", re.compile(r"\brural\b.*\burban\b|\burban\b.*\brural\b")),
    ("comparison", re.compile(r"\b(more|less|fewer|larger|smaller)\b.*\bthan\b|\bequal to\b|\bas many\b")),
    ("count", re.compile(r"\bhow many\b|\b(number|amount) of\b|^count\b")),
    ("scene", re.compile(r"\b(theme|scene|land[- ]use|category|class|kind of place|type of area)\b")),
    (
        "presence",
        re.compile(
            r"^(is|are) there\b|^(does|do) (this|the|these) (picture|image|photo|scene)s? (contain|have|show|include)"
            r"|\bpresent\b|^can you see\b"
        ),
    ),
)
# "Is a farmland on the left of a road in the image?" asks whether there is such a thing.
YES_NO_QUESTION = re.compile(r"^(is|are|does|do|can|has|have)\b")


def question_type(question: str, answer: str, patterns: Patterns = PATTERNS) -> QuestionType:
    """The type of a question, told by the question and, where its words leave it open, by its true answer."""
    text = question.replace("<image>", "").strip().lower()
    for kind, pattern in patterns:
        if pattern.search(text):
            return kind
    says_yes_or_no = answer.strip().lower().rstrip(".") in ("yes", "no")
    return "presence" if says_yes_or_no and YES_NO_QUESTION.match(text) else "other"
