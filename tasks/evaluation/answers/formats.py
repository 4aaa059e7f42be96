"""Which program wrote a file of answers, and its answers one at a time."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tasks.errors import DataError, shortened
from tasks.evaluation.answers.given import (
    IDS,
    IMAGE,
    QUESTION,
    GivenAnswer,
    Row,
    answer_key,
    first_text,
    given_answer,
    ids_in,
    path_in,
    references_in,
    text_of,
)
from tasks.evaluation.answers.tables import TABLE_SUFFIXES, iterate_table
from tasks.evaluation.pairing import iterate_texts
from tasks.files import read_json
from tasks.json_stream import is_object, iterate_values

OWN = "rsvlm"
LMMS_EVAL, VLMEVALKIT, COCO = "lmms-eval samples", "VLMEvalKit table", "COCO results"
LLAVA, GEOCHAT, EARTHDIAL = "LLaVA answers", "GeoChat answers", "EarthDial answers"
RESPONSES = ("filtered_resps", "resps")
# keys under which a JSON object has its list of answers
LISTS = ("answers", "annotations", "results", "predictions", "data", "samples", "logs")
WANTED = "give a file with an id (or an image and a question) and an answer in each row: docs/your-own-data.md"


class AnswerFile(NamedTuple):
    """A file of answers, and the name of its format."""

    path: Path
    format: str

    def answers(self) -> Iterator[GivenAnswer]:
        """The answers, in the file's order; raises DataError for a row without one."""
        if self.format == OWN:
            yield from _answers_of_records(self.path)
            return
        read = _lmms_eval_answer if self.format == LMMS_EVAL else given_answer
        for location, row in iterate_rows(self.path):
            if not isinstance(row, Mapping) or not _has_answer(row):
                found = f"{shortened(', '.join(map(str, row)))}" if isinstance(row, Mapping) else shortened(row)
                raise DataError(f"{self.path}, {location} has no answer, but {found}: {WANTED}.")
            yield read(row, location)


def recognise(path: Path) -> AnswerFile:
    """The format of a file of answers, from its suffix and its first row; raises DataError for any other file."""
    _, row = next(iter(iterate_rows(path)), (None, None))
    if row is None:
        raise DataError(f"{path} holds no answers: {WANTED}.")
    if not isinstance(row, Mapping):
        raise DataError(f"{path} begins with {shortened(row)}, which is not an answer: {WANTED}.")
    if "conversations" in row:
        return AnswerFile(path, OWN)
    if not _has_answer(row):
        keys = shortened(", ".join(map(str, row)))
        what = "questions, not answers" if "text" in row else "no answers"
        raise DataError(f"{path} holds {what}; its first row has {keys}: {WANTED}.")
    return AnswerFile(path, _format_of(row, path))


def _format_of(row: Row, path: Path) -> str:
    key, has_id = answer_key(row), bool(ids_in(row, IDS))
    rules = (
        (LMMS_EVAL, "doc_id" in row and _responses(row) is not None),
        (VLMEVALKIT, "index" in row and key == "prediction"),
        (COCO, key == "caption" and "image_id" in row and not has_id),
        (LLAVA, key == "text" and has_id),
        (GEOCHAT, key == "answer" and has_id and "image_id" in row),
        (EARTHDIAL, key == "answer" and not has_id and "question" in row and not any(name in row for name in IMAGE)),
    )
    suffix = path.suffix.lower().removeprefix(".")
    kind = {"csv": "CSV", "tsv": "TSV", "xlsx": "Excel"}.get(suffix, "JSON")
    return next((name for name, fits in rules if fits), f"{kind} table")


def iterate_rows(path: Path) -> Iterator[tuple[str, object]]:
    """The rows of a table, of JSON Lines or of a JSON list, or of the list that a JSON object has, with locations."""
    if not path.is_file():
        wrong = "is a folder" if path.is_dir() else "does not exist"
        raise DataError(f"{path} {wrong}: give the path of a file of answers.")
    if path.suffix.lower() in TABLE_SUFFIXES:
        yield from iterate_table(path)
    elif not is_object(path):
        yield from (
            (each.location(f"answer {number}"), each.value) for number, each in enumerate(iterate_values(path), 1)
        )
    else:
        yield from _rows_of_object(path)


def _rows_of_object(path: Path) -> Iterator[tuple[str, object]]:
    """The rows of a JSON object: those of its only list, or one for each key, which is then the id."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {shortened(found)}: {WANTED}.")
    rows = next((found[key] for key in LISTS if isinstance(found.get(key), list)), None)
    if rows is not None:
        yield from ((f"answer {number}", row) for number, row in enumerate(rows, 1) if not _is_inactive(row))
    elif _has_answer(found):
        # a single line of JSON Lines
        yield "answer 1", found
    elif all(value is None or text_of(value) is not None for value in found.values()):
        yield from ((f"key {shortened(key)}", {"id": key, "answer": value}) for key, value in found.items())
    else:
        # refuses it, with what it lacks
        yield from ((each.location("answer"), each.value) for each in iterate_values(path))


def _is_inactive(row: object) -> bool:
    """Whether a row is a stub, by which RSVQA's file of one split lists the answers of another."""
    return isinstance(row, dict) and row.get("active") is False


def _has_answer(row: Row) -> bool:
    return _responses(row) is not None or answer_key(row) is not None


def _responses(row: Row) -> str | None:
    return next((key for key in RESPONSES if key in row), None)


def _lmms_eval_answer(row: Row, location: str) -> GivenAnswer:
    """A line of a samples file; the document that it answers may be under `doc`."""
    key, document = _responses(row), row.get("doc")
    fields = {**(document if isinstance(document, Mapping) else {}), **row}
    number = row.get("doc_id")
    return GivenAnswer(
        location,
        ids_in(fields, IDS),
        first_text({name: path_in(value) for name, value in fields.items() if name in IMAGE}, IMAGE),
        first_text(fields, QUESTION) or text_of(_first_response(row.get("arguments"))),
        text_of(_first_response(row[key])) if key else None,
        _targets(row.get("target")) or references_in(fields, ("answer",)),
        number if isinstance(number, int) and not isinstance(number, bool) else None,
    )


def _first_response(value: object) -> object:
    """The first of several responses, as lmms-eval scores it."""
    while isinstance(value, list) and value:
        value = value[0]
    return value


def _targets(value: object) -> tuple[str, ...]:
    """The reference answers of a sample; several are written as the text of a Python list."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ()
    return references_in({"target": value}, ("target",))


def _answers_of_records(path: Path) -> Iterator[GivenAnswer]:
    for number, record in enumerate(iterate_texts(path), 1):
        for question, answer in record.turns:
            yield GivenAnswer(f"record {number}", (str(record.id),), record.image, question, answer)
