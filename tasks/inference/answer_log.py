"""answers.jsonl: one answer per line, synced to disk with each batch; a checksum in each line reveals damage."""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from pydantic import ValidationError

from tasks.errors import UserError
from tasks.files import digest_of, write_json_lines
from tasks.json_text import decode_json
from tasks.records import Answer

CHECK = "check"


class AnswerLog:
    """The answers so far, and the open file that the next ones are appended to."""

    def __init__(self, path: Path, file: FileIO):
        self._path, self._file = path, file
        self.answers = read_answers(path)
        self.texts = {key: answer.text for key, answer in self.answers.items()}

    def append(self, answers: Iterable[Answer]) -> None:
        """Write answers and sync them to disk; raises UserError if they cannot be written."""
        new = list(answers)
        try:
            unwritten = memoryview("".join(f"{_line_of(answer)}\n" for answer in new).encode())
            while unwritten:
                unwritten = unwritten[self._file.write(unwritten) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(
                f"{self._path} cannot be written ({error.strerror}): make room and run the same command again; "
                f"the {len(self.answers)} answers so far are kept."
            ) from error
        self.answers.update({answer.key: answer for answer in new})
        self.texts.update({answer.key: answer.text for answer in new})


@contextmanager
def open_log(path: Path) -> Iterator[AnswerLog]:
    """Open answers.jsonl for a single writer, and drop an incomplete last line.

    Raises UserError if another process is writing answers there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # unbuffered: after a failed write nothing is left that closing would try to write again
    with path.open("ab", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another process is writing answers into {path.parent}: wait for it to end.") from None
        complete = path.read_bytes().rfind(b"\n") + 1
        file.truncate(complete)
        yield AnswerLog(path, file)


def read_answers(path: Path) -> dict[str, Answer]:
    """Read the answers of a log by key; damaged lines are skipped, so that their questions are asked again."""
    if not path.exists():
        return {}
    answers: dict[str, Answer] = {}
    for line in path.read_bytes().split(b"\n"):
        answer = _answer_of(line)
        if answer is not None:
            answers.setdefault(answer.key, answer)
    return answers


def rewrite_log(path: Path, answers: Iterable[Answer]) -> None:
    """Rewrite a finished log in the order of the test set, so that its bytes depend on the answers alone."""
    write_json_lines(path, (_row_of(answer) for answer in answers))


def _row_of(answer: Answer) -> dict[str, object]:
    row = answer.model_dump(exclude_none=True)
    return {**row, CHECK: digest_of(row)[:16]}


def _line_of(answer: Answer) -> str:
    return json.dumps(_row_of(answer), ensure_ascii=False)


def _answer_of(line: bytes) -> Answer | None:
    try:
        row = decode_json(line)
        check = row.pop(CHECK)
        return Answer.model_validate(row) if digest_of(row)[:16] == check else None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None
