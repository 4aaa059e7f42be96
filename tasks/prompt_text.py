"""The words of a prompt: without the image's placeholder, a tag of the task and what leads in; and what a tag says."""

import re
from typing import Literal

Task = Literal["captioning", "vqa"]

# where a record's text shows the image, whatever token the model has for it
IMAGE_PLACEHOLDER = "<image>"
# of GeoChat, VRSBench and MiniGPT: [vqa], [caption], [refer], [identify], ...
TAG = re.compile(r"\s*\[\s*([a-z][a-z _-]{0,30}?)\s*\]\s*", re.IGNORECASE)
VIEW = r"(?:image|picture|photo|photograph|scene|view|tile|imagery|snapshot|figure|frame)s?"
# "You are an expert.", "This is a satellite image.", "As an analyst,", "Answer in one word."; never all that is said
SET_SCENE = (
    r"(?:(?:you are|you're|act as|imagine|suppose|assume|this is|here is|here's|below is)\b[^.?!:\n]{1,120}[.!:\n]"
    r"|as an? [^,.?!\n]{1,80},"
    r"|(?:please |kindly )?(?:(?:answer|reply|respond)|(?:give|provide) (?:me )?an? [\w -]{0,30}\banswer)\b"
    r"[^.:?\n]{0,80}[.:\n]"
    r"|(?:yes or no|true or false)\s*[:,?]"
    # only before a question: who is to look at an image may be asked for a caption
    rf"|(?:please )?(?:look|observe|see|consider|examine|inspect|view|study|analy[sz]e)\b[^.?!:\n]{{0,60}}\b{VIEW}\b"
    r"[^.?!:\n]{0,40}[.:\n](?=[^\n]*\?)"
    r"|(?:question |q)?\d{1,3}\s*[.):](?=\s))\s*(?=\S)"
)
LEAD_IN = re.compile(
    rf"{SET_SCENE}"
    r"|(?:question|query|q)\s*:\s*"
    r"|(?:please |kindly )?(?:tell (?:me|us)|answer|say)(?: the (?:following )?question)?\s*[:,]\s*"
    r"|(?:based (?:up)?on|according to|judging (?:by|from)|looking at|considering|given|from|in|using|with)\s+"
    r"(?:what (?:you|we) (?:can )?see in )?"
    rf"(?:the |this |that |these |an? )?(?:[\w-]+ ){{0,4}}?{VIEW}(?: (?:above|below|provided|given|shown|here))?"
    # without a comma only before what begins a question: "in the image of a port" leads in nothing by itself
    r"(?:(?: of [\w -]{1,40})?\s*[,:;]\s*"
    r"|\s+(?=(?:is|are|does|do|can|has|have|was|were|how|what|which|where|who|why|please|describe)\b))"
)
# what a task is called, in tags and in fields of records
CAPTIONING_NAMES = re.compile(r"caption|\bcaps?\b|descri|summar")
VQA_NAMES = re.compile(
    r"\bv?qa\b|question|answer|presence|\bexist|\bcount(?:s|ing)?\b|quantity|compar|\bcomp\b|\brural (?:\w+ )?urban\b"
    r"|\burban (?:\w+ )?rural\b|classif|\bcls\b|categor|\brefer|detect|\bidenti|locali[sz]|reason|yes no|\bmcq\b|choice"
)
# of what is asked, and nothing else: "object size" is a kind of question, "residential area" may be what is seen
PROPERTY = r"(?:scene|class|position|object|area|colou?r|shape|size|direction)s?"
PROPERTIES = re.compile(rf"(?:(?:image|type|kind|land|of|the) )*{PROPERTY}(?: (?:{PROPERTY}|types?|kinds?))*")


def with_placeholder(text: str) -> str:
    """The text with the image's placeholder once, on a line of its own at the start, as LLaVA trains it."""
    return f"{IMAGE_PLACEHOLDER}\n{without_placeholder(text)}".strip()


def without_placeholder(text: str) -> str:
    """The text without the image's placeholder and surrounding whitespace."""
    return text.replace(IMAGE_PLACEHOLDER, "").strip()


def bare_prompt(text: str) -> str:
    """A prompt's words in lower case, without placeholder, tag and what leads in, such as "based on the image,"."""
    text = without_placeholder(text)
    text = TAG.sub("", text, count=1).strip().lower() if "[" in text else text.lower()
    while found := LEAD_IN.match(text):
        text = text[found.end() :]
    return text


def tag_of(text: str) -> str | None:
    """The tag that a prompt begins with, before or behind the image's placeholder, or None."""
    if "[" not in text:
        return None
    found = TAG.match(without_placeholder(text))
    return found[1] if found else None


def task_named(name: object) -> Task | None:
    """The task that a tag or a field of a record names, such as "vqa", "image_captioning" or "presence", or None."""
    if not isinstance(name, str):
        return None
    words = re.sub(r"[\W_]+", " ", name.lower())
    asks = VQA_NAMES.search(words) or PROPERTIES.fullmatch(words.strip())
    if CAPTIONING_NAMES.search(words):
        # of a name that speaks of both, the words of each prompt tell
        return None if re.search(r"\bv?qa\b|question|answer", words) else "captioning"
    return "vqa" if asks else None
