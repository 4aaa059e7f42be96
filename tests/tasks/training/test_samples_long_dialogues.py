"""The number of encodings that splitting a dialogue of many rounds takes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tasks.model.encoding import EncodedConversation
from tasks.model.processor import Processor
from tasks.training.samples import LengthLimit, make_samples


def test_long_record_is_split_with_few_encodings(processor: Processor) -> None:
    turns = [(f"How many ships are in part {i}?", f"there are {i} of them") for i in range(60)]
    texts = ["<image>\n" + turns[0][0], turns[0][1], *(text for turn in turns[1:] for text in turn)]
    record: Any = {
        "id": "LR_1",
        "image": "a.png",
        "conversations": [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)],
    }
    limit, lengths = LengthLimit(400, split=True), []

    def encode(turns: Any, images: int = 1) -> EncodedConversation:
        lengths.append(len(turns))
        return processor.encode_conversation(turns, images)

    counting: Any = SimpleNamespace(several_images=False, dialogues=True, image_tokens=64, encode_conversation=encode)
    samples, dropped = make_samples([record], counting, Path(), limit)
    assert (samples, dropped) == make_samples([record], processor, Path(), limit)
    # the record, and for each part the rest of it and the part itself
    assert len(lengths) <= 1 + 2 * len(samples)
