import json
import resource
import signal
import subprocess
import sys

import pytest

from tasks.errors import UserError
from tasks.inference.answer_log import opened_log, read_answers, rewrite_log
from tasks.records import Answer

ANSWERS = [Answer(key=f"{number}:0", text=f"a boat\u2028 {number}", tokens=3) for number in range(3)]


def write_log(path, answers=ANSWERS):
    with opened_log(path) as log:
        log.append(answers)


def test_what_was_appended_is_read_back(tmp_path):
    write_log(tmp_path / "answers.jsonl")
    assert list(read_answers(tmp_path / "answers.jsonl").values()) == ANSWERS


def test_a_last_line_cut_by_a_kill_is_dropped_and_the_next_answer_stands_whole(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_log(path)
    path.write_bytes(path.read_bytes()[:-9])
    assert list(read_answers(path)) == ["0:0", "1:0"]
    write_log(path, ANSWERS[2:])
    assert list(read_answers(path).values()) == ANSWERS
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("damage", [(b"boat", b"goat"), (b"{", b""), (b'"check"', b'"chick"'), (b"key", b"\xff\xfe")])
def test_a_damaged_line_counts_as_not_written(tmp_path, damage):
    path = tmp_path / "answers.jsonl"
    write_log(path)
    path.write_bytes(path.read_bytes().replace(*damage, 1))
    assert list(read_answers(path)) == ["1:0", "2:0"]


def test_a_line_that_is_json_but_no_answer_is_skipped(tmp_path):
    path = tmp_path / "answers.jsonl"
    path.write_text('3\n"x"\n{"key": "0:0"}\n')
    assert read_answers(path) == {}


def test_only_one_process_at_a_time_writes_answers(tmp_path):
    path = tmp_path / "answers.jsonl"
    program = (
        f"from pathlib import Path\nfrom tasks.inference.answer_log import opened_log\n"
        f"with opened_log(Path({str(path)!r})): pass"
    )
    with opened_log(path):
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Another process is answering" in other.stderr


def test_a_full_disk_is_named_and_what_was_written_is_kept(tmp_path):
    # a limit on the size of files fails a write as a full disk does: in the middle of a line
    path = tmp_path / "answers.jsonl"
    write_log(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        with opened_log(path) as log, pytest.raises(UserError, match="make room"):
            log.append([Answer(key="9:0", text="a beach", tokens=2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(read_answers(path).values()) == ANSWERS


def test_a_rewritten_log_depends_on_its_answers_alone(tmp_path):
    path = tmp_path / "answers.jsonl"
    write_log(path, reversed(ANSWERS))
    rewrite_log(path, ANSWERS)
    write_log(tmp_path / "undisturbed.jsonl")
    assert path.read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()


def test_each_line_is_one_json_value(tmp_path):
    write_log(tmp_path / "answers.jsonl")
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["text"] for line in lines] == [answer.text for answer in ANSWERS]
