"""When two programs ask the same question: the words of a prompt without placeholder, tags, roles and instructions."""

import re
import unicodedata
from functools import lru_cache

from tasks.errors import shortened

SHOWN_CHARACTERS = 80
PLACEHOLDER = re.compile(
    r"<image>|<ImageHere>|<img>.*?</img>|<\|vision_start\|>.*?<\|vision_end\|>|<\|image_pad\|>"
    r"|(?:image|picture)[ -]?\d+:(?=\s*<)",
    re.IGNORECASE | re.DOTALL,
)
# [vqa], and EarthDial's [hr_rgb_0.5]; not a box
TAGS = re.compile(r"^(?:\s*\[\s*[a-z][\w .-]{0,30}\s*\])+\s*", re.IGNORECASE)
# the last message of the user in the templates of Vicuna, Qwen, Llama 2 and MiniGPT
ROLES = re.compile(
    r".*(?:\bUSER:|### ?Human:|<\|im_start\|>user|\[INST\])(.*?)(?:\bASSISTANT:|###|<\|im_end\|>|\[/INST\])", re.DOTALL
)
SENTENCE_END = re.compile(r"\n+|(?<=[.?!:])\s+")
INSTRUCTION = re.compile(
    r"\s*(?:please |kindly )?(?:(?:answer|respond|reply)\b"
    r"|(?:give|provide) (?:only )?(?:a|an|the|your|one)\b.{0,30}\banswer\b"
    r"|your answer\b|(?:use|using|in|with) (?:only )?(?:a|one) (?:single )?(?:word|phrase)\b|(?:do not|don't|no) expla"
    r"|keep (?:it|your)\b|hint\s*:|(?:context|question|query|q)\s*:\s*$|answer\s*:)",
    re.IGNORECASE,
)
LABEL = re.compile(r"\s*(?:question|query|q)\s*:\s*", re.IGNORECASE)
# joined by a blank, as EarthDial does
LAST_INSTRUCTION = re.compile(
    r"\s+(?:please )?(?:answer|respond|reply) (?:(?:the|this) question |it )?(?:using|with|in|by|as|only)\b[^?]*$",
    re.IGNORECASE,
)
WORD = re.compile(r"\w+|[<>=+]")


# a data set asks the same again and again
@lru_cache(maxsize=100_000)
def question_key(text: str) -> str:
    """The words of a question in lower case; equal for the same question with other instructions around it."""
    if found := ROLES.match(text):
        text = found[1]
    text = TAGS.sub("", PLACEHOLDER.sub(" ", TAGS.sub("", text)))
    sentences = [LABEL.sub("", each, count=1) for each in SENTENCE_END.split(text) if each.strip()]
    # a prompt of nothing but an instruction is the question itself
    asked = [each for each in sentences if not INSTRUCTION.match(each)] or sentences
    return words_of(LAST_INSTRUCTION.sub("", " ".join(asked)))


def shown(text: str) -> str:
    """The beginning of a question, for messages."""
    return shortened(" ".join(PLACEHOLDER.sub(" ", text).split())[:SHOWN_CHARACTERS])


def words_of(text: str) -> str:
    """The words of a text in lower case, separated by single blanks."""
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def is_same_question(one: str, other: str) -> bool:
    """Whether one question is the other, or contains it word by word."""
    first, second = question_key(one), question_key(other)
    return first == second or f" {first} " in f" {second} " or f" {second} " in f" {first} "
