"""Records in LLaVA's layout: as rsvlm's own test sets have them, and as people bring them."""

from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]
Records = list[Record]
TURNS = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": "2"}]
# with a key of its own, in no usual order
RECORD: Record = {"image": "LR/Train/1.tif", "id": "LR_1", "extra": {"b": 1, "a": [1.5, None]}, "conversations": TURNS}
COLOURS = ("white", "red", "blue", "green", "grey")


def field_record(name: object, image: Any, *pairs: tuple[str, str]) -> Record:
    """A record of (question, answer) pairs as they are, without a placeholder."""
    turns = [turn for ask, say in pairs for turn in ({"from": "human", "value": ask}, {"from": "gpt", "value": say})]
    return {"id": str(name), "image": image, "conversations": turns}


def asked_record(image: str, turns: Sequence[tuple[str, str]], name: str | None = None) -> Record:
    """A record of (question, answer) pairs, with the image placeholder before the first question."""
    starts = ("<image>\n", *[""] * len(turns))
    pairs = ((start + question, answer) for start, (question, answer) in zip(starts, turns, strict=False))
    return field_record(name or image, image, *pairs)


def captions_record(image: str, captions: Sequence[str]) -> Record:
    """A record with several captions of an image."""
    return asked_record(image, [("Provide a description of the image", text) for text in captions])


def geochat_records(folder: str = "", images: int = 30) -> Records:
    """Records as GeoChat has them: a question, a caption and a place of each image."""
    rows = []
    for number in range(images):
        image = f"{folder}P{number:04}_0002.png"
        caption = f"{number} {COLOURS[number % 5]} ships lie near the pier of a harbor"
        rows += [
            field_record(number, image, ("[vqa] <image>\nIs there a harbor?", "Yes" if number % 2 else "No")),
            field_record(f"{number}c", image, ("[caption] <image>\nDescribe the image in detail", caption)),
            field_record(f"{number}r", image, ("[refer] <image>\nGive me the location of <p>the ship</p>", "{<1><2>}")),
        ]
    return rows


def vrsbench_records(answers: tuple[str, str] = ("", ""), images: int = 8) -> Records:
    """Records as VRSBench has them: a caption, then two questions about the image."""
    return [
        field_record(
            number,
            f"VRS/images/{number}.png",
            ("<image>\nDescribe the image in detail", f"a harbor with {number + 2} {COLOURS[number % 5]} ships"),
            ("How many ships are there?", answers[0] or str(number + 2)),
            ("Is there a pier?", answers[1] or "yes"),
        )
        for number in range(images)
    ]
