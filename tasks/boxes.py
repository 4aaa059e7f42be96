"""Bounding boxes in texts, as GeoChat, MiniGPT, EarthDial, Qwen-VL and InternVL write them."""

import re
from typing import NamedTuple

# four numbers as they are written, and a fifth for a rotated box: its angle in degrees
Box = tuple[float, ...]

# Python writes 1/7 with sixteen decimals
NUMBER = r"\s*(-?\d{1,9}(?:\.\d{1,20})?)\s*"
ANGLED = f"<{NUMBER}>"
# {<10><20><30><40>}, {<10><20><30><40>|<45>}
BRACES = re.compile(rf"\{{\s*{ANGLED}\s*{ANGLED}\s*{ANGLED}\s*{ANGLED}\s*(?:\|?\s*{ANGLED})?\s*\}}")
# [10, 20, 30, 40], [[10, 20, 30, 40, 45]]
BRACKETS = re.compile(rf"\[{NUMBER},{NUMBER},{NUMBER},{NUMBER}(?:,{NUMBER})?\]")
# (10,20),(30,40)
CORNERS = re.compile(rf"\({NUMBER},{NUMBER}\)\s*,?\s*\({NUMBER},{NUMBER}\)")
FORMS = {"braces": BRACES, "brackets": BRACKETS, "corners": CORNERS}
# a text without one of these has no box
STARTS = re.compile(r"[\[({]\s*<?\s*-?\d")
# what names a box or stands around it: labels in tags, keys and texts of JSON
AROUND = re.compile(
    r"<p>.*?</p>|<ref>.*?</ref>|<\|object_ref_start\|>.*?<\|object_ref_end\|>|```(?:json)?|\"[^\"]*\"\s*:?"
    r"|</?box>|<\|box_(?:start|end)\|>|<delim>|\band\b|[\s,.;:\[\]{}()]",
    re.DOTALL | re.IGNORECASE,
)


class Boxes(NamedTuple):
    """The boxes of a text, and the form in which they are written."""

    form: str
    boxes: tuple[Box, ...]


def read_boxes(text: str) -> Boxes | None:
    """The boxes of a text in the first form that it has; None without any."""
    if not STARTS.search(text):
        return None
    for form, pattern in FORMS.items():
        if found := pattern.findall(text):
            return Boxes(form, tuple(tuple(float(number) for number in numbers if number) for numbers in found))
    return None


def is_only_boxes(text: str) -> bool:
    """Whether a text is a box, or several, and their labels."""
    if read_boxes(text) is None:
        return False
    for pattern in FORMS.values():
        text = pattern.sub(" ", text)
    return not AROUND.sub("", text)
