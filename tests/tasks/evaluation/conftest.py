"""Small test sets with answers, written as the files that a user has."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Record = dict[str, Any]


def _record(image: str, turns: Sequence[tuple[str, str]], name: str | None = None) -> Record:
    conversation = []
    for number, (question, answer) in enumerate(turns):
        asked = ("<image>\n" if number == 0 else "") + question
        conversation += [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {"id": name or image, "image": image, "conversations": conversation}


@pytest.fixture
def record() -> Callable[..., Record]:
    """A function (image, [(question, answer), ...], id) -> a record in the LLaVA layout."""
    return _record


@pytest.fixture
def captions_of() -> Callable[..., Record]:
    """A function (image, captions) -> a captioning record."""
    return lambda image, captions: _record(image, [("Provide a description of the image", text) for text in captions])


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Any], Path]:
    """A function (name, value) -> the path of a JSON file with that value."""

    def write_file(name: str, value: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    return write_file


@pytest.fixture
def paired() -> Callable[[list[Record], list[Record]], Any]:
    """A function (test set, answers) -> paired records."""
    from tasks.evaluation.pairing import RecordText, pair_records

    def texts(records: list[Record]) -> list[RecordText]:
        return [
            RecordText(
                row["id"],
                row["image"],
                tuple(
                    (asked["value"], said["value"])
                    for asked, said in zip(row["conversations"][::2], row["conversations"][1::2], strict=True)
                ),
                row,
            )
            for row in records
        ]

    return lambda test, answers: pair_records(texts(test), texts(answers))
