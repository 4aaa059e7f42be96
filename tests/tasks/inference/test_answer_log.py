import json
import resource
import signal
import subprocess
import sys

import pytest

from tasks.errors import UserError
from tasks.inference.answer_log import open_log, read_answers, rewrite_log
from tasks.records import Answer

ANSWERS = [Answer(key=f"{number}:0", text=f"a boat\u2028 {number}", tokens=3) for number in range(3)]


def write_log(path, answers=ANSWERS):
    with open_log(path) as log:
        log.append(answers)


def test_appended_answers_are_read_back(tmp_path):
    write_log(tmp_path / "answers.jsonl")
    assert list(read_answers(tmp_path / "answers.jsonl").values()) == ANSWERS


def test_probabilities_are_read_back_and_a_log_without_them_is_readable(tmp_path):
    sure = Answer(key="3:0", text="a boat", tokens=2, probability=0.25, mean_log_probability=-0.462098)
    path = tmp_path / "answers.jsonl"
    # as it was written before answers had a probability
    path.write_text('{"key": "0:0", "text": "a boat", "tokens": 2, "check": "ba5eefda10a48718"}\n')
    write_log(path, [sure])
    old, new = read_answers(path).values()
    assert (old.text, old.probability, new) == ("a boat", None, sure)


def test_an_incomplete_last_line_is_dropped_before_the_next_answer(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_log(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert list(read_answers(path)) == ["0:0", "1:0"]
    write_log(path, ANSWERS[2:])
    assert list(read_answers(path).values()) == ANSWERS
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("damage", [(b"boat", b"goat"), (b"{", b""), (b'"check"', b'"chick"'), (b"key", b"\xff\xfe")])
def test_a_damaged_line_is_skipped(tmp_path, damage):
    path = tmp_path / "answers.jsonl"
    write_log(path)
    path.write_bytes(path.read_bytes().replace(*damage, 1))
    assert list(read_answers(path)) == ["1:0", "2:0"]


def test_a_line_of_json_that_is_not_an_answer_is_skipped(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('3\n"x"\n{"key": "0:0"}\n')
    assert read_answers(path) == {}


def test_a_second_process_cannot_open_the_log(tmp_path):
    path = tmp_path / "answers.jsonl"
    program = (
        f"from pathlib import Path\nfrom tasks.inference.answer_log import open_log\n"
        f"with open_log(Path({str(path)!r})): pass"
    )
    with open_log(path):
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Another process is writing answers" in other.stderr


def test_a_full_disk_is_reported_and_keeps_the_answers_so_far(tmp_path):
    # like a full disk, a limit on the file size fails a write in the middle of a line
    path = tmp_path / "answers.jsonl"
    write_log(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        with open_log(path) as log, pytest.raises(UserError, match="make room"):
            log.append([Answer(key="9:0", text="a beach", tokens=2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(read_answers(path).values()) == ANSWERS


def test_a_rewritten_log_depends_only_on_its_answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_log(path, reversed(ANSWERS))
    rewrite_log(path, ANSWERS)
    write_log(tmp_path / "uninterrupted.jsonl")
    assert path.read_bytes() == (tmp_path / "uninterrupted.jsonl").read_bytes()


def test_each_line_holds_one_answer(tmp_path):
    write_log(tmp_path / "answers.jsonl")
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["text"] for line in lines] == [answer.text for answer in ANSWERS]
