"""A small test set in memory, and answers of other programs to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROAD, MORE = "Is there a road?", "Are there more roads than rivers?"


@pytest.fixture
def texts() -> Callable[[list[dict[str, Any]]], list[Any]]:
    """A function (records) -> their texts, as they are read from a test set."""
    from tasks.evaluation.pairing import TextSharing, record_text
    from tasks.record_reader import Entry

    return lambda records: [record_text(Entry("a test", row, ""), TextSharing()) for row in records]


@pytest.fixture
def questions(record: Any) -> list[dict[str, Any]]:
    """Two questions about each of three images, a record each, with the ids 0 to 5."""
    pairs = [(f"LR/Train/{n}.tif", turn) for n in range(3) for turn in ((ROAD, "yes"), (MORE, "no"))]
    return [record(image, [turn], str(number)) for number, (image, turn) in enumerate(pairs)]


@pytest.fixture
def read(texts: Any, write: Any, tmp_path: Path) -> Callable[..., Any]:
    """A function (test set, answers) -> the answers that were read; a text is a file of that content."""
    from tasks.evaluation.answers.reading import read_answers

    def read_file(test: Any, answers: Any, name: str = "answers.json", partial: bool = False) -> Any:
        if isinstance(answers, str):
            (tmp_path / name).write_text(answers, encoding="utf-8")
        else:
            write(name, answers)
        return read_answers(texts(test), tmp_path / name, "unnamed", partial)

    return read_file


@pytest.fixture
def said(read: Any) -> Callable[..., Any]:
    """A function (test set, answers) -> the answer to each question, in the test set's order."""
    return lambda *args, **options: [turn.answer for record in read(*args, **options).records for turn in record.turns]
