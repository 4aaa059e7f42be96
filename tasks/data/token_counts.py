"""How many tokens the sets hold: known only once there is a model, so it stands beside a run and not in the version."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.data.records_file import Record, read_records
from tasks.data.set_files import set_paths
from tasks.model.loading import load_reader
from tasks.prompt_text import without_placeholder
from tasks.sources import UNNAMED, source_of

TEXTS_AT_ONCE = 10_000


def count_tokens(sets: Path, model: Path, unnamed: str = UNNAMED) -> dict[str, Any]:
    """By set and source: records, tokens of the questions and of the answers, and the tokens of one image.

    The prompt template's own words are not counted: their number depends on how records are cut for training.
    """
    reader = load_reader(model)
    # without a share for it there is no validation set
    records = {name: read_records(path) for name, path in set_paths(sets).items() if path.exists()}
    texts = {turn["value"] for chosen in records.values() for record in chosen for turn in record["conversations"]}
    lengths = _lengths(sorted(texts), reader.tokenizer)
    return {
        "image": reader.image_tokens,
        "sets": {name: _by_source(chosen, lengths, unnamed) for name, chosen in records.items()},
    }


def _lengths(texts: list[str], tokenizer: Any) -> dict[str, int]:
    # each text once: most questions, and many captions, stand in the sets a thousand times
    lengths: dict[str, int] = {}
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = texts[start : start + TEXTS_AT_ONCE]
        plain = [without_placeholder(text) for text in some]
        encoded = tokenizer(plain, add_special_tokens=False)["input_ids"]
        lengths |= {text: len(ids) for text, ids in zip(some, encoded, strict=True)}
    return lengths


def _by_source(records: Iterable[Record], lengths: dict[str, int], unnamed: str) -> dict[str, dict[str, int]]:
    counted: dict[str, Counter[str]] = {}
    for record in records:
        numbers = counted.setdefault(source_of(record["image"], unnamed), Counter(records=0, questions=0, answers=0))
        numbers["records"] += 1
        for turn in record["conversations"]:
            numbers["questions" if turn["from"] == "human" else "answers"] += lengths[turn["value"]]
    return {source: dict(numbers) for source, numbers in counted.items()}
