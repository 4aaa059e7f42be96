"""METEOR's process: always ended, never waited for without limit. Its values: test_captions."""

import os
from pathlib import Path

import pytest

from tasks.errors import RsvlmError
from tasks.evaluation.metrics.meteor import Meteor, running_meteor


def java_children() -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = status.read_text().rsplit(")", 1)
        except OSError:
            continue
        state, parent = fields.split()[:2]
        if "(java" in name and int(parent) == os.getpid() and state != "Z":
            found.append(int(status.parent.name))
    return found


def test_a_scorer_that_does_not_answer_in_time_is_ended_and_reported() -> None:
    before = set(java_children())
    with pytest.raises(RsvlmError, match="gave no answer"), running_meteor(1, limit_s=0.3) as meteor:
        meteor(["a plane"], [["a plane"]])
    assert set(java_children()) == before


def test_no_process_is_left_when_the_work_around_it_fails() -> None:
    before = set(java_children())
    with pytest.raises(ZeroDivisionError), running_meteor(1) as _meteor:
        assert set(java_children()) > before
        raise ZeroDivisionError
    assert set(java_children()) == before


def test_empty_texts_and_separators_in_captions_are_scored(meteor: Meteor) -> None:
    _, each = meteor(
        ["", "a plane", "a ||| plane", "\u673a\u573a", "a plane on the runway " * 5000],
        [["a plane"], [""], ["a plane ||| b"], ["\u673a\u573a"], ["a plane"]],
    )
    assert each[0] == each[1] == 0
    assert each[2] > 0.2
    assert each[3] == 1
    assert len(each) == 5
