"""METEOR's process has a time limit and is always ended; the check of the Java scorers."""

import os
from pathlib import Path

import pytest

from tasks.errors import RsvlmError, UserError
from tasks.evaluation.metrics import meteor as meteor_module
from tasks.evaluation.metrics.meteor import Meteor, check_java_scorers, running_meteor
from tasks.preflight.service_checks import java_findings


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


def test_meteor_is_ended_after_its_time_limit() -> None:
    before = set(java_children())
    with pytest.raises(RsvlmError, match="gave no answer"), running_meteor(1, limit_s=0.3) as meteor:
        meteor(["a plane"], [["a plane"]])
    assert set(java_children()) == before


def test_meteor_is_ended_when_the_block_fails() -> None:
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


# each prints the version of Java 17, and then does something else
JAVAS = {
    "ends": "echo 'Error: could not find or load main class' >&2; exit 1",
    "is killed": "kill -9 $$",
    "prints nothing": "cat > /dev/null",
    # works as the tokenizer, prints nothing as METEOR
    "never answers": "case \"$*\" in *PTB*) echo 'a plane on the runway';; *) exec cat > /dev/null;; esac",
    "prints something else": "while read line; do echo nonsense; done",
}


def test_this_machine_can_score() -> None:
    check_java_scorers()
    assert [found.level for found in java_findings()] == ["ok"]


@pytest.mark.parametrize("kind", JAVAS)
def test_a_java_that_cannot_run_the_scorers_is_a_preflight_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    script = tmp_path / "java"
    script.write_text(f"""#!/bin/sh
case "$*" in *-version*) echo 'openjdk version "17.0.2"' >&2; exit 0;; esac
{JAVAS[kind]}
""")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(meteor_module, "CHECK_LIMIT_S", 1)
    with pytest.raises(UserError, match="Captions cannot be scored with this Java"):
        check_java_scorers()
    (found,) = java_findings()
    assert found.level == "stops" and "\n" not in found.text


def test_a_missing_file_of_pycocoevalcap_is_a_preflight_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor_module, "PARAPHRASES", "data/none.gz")
    (found,) = java_findings()
    assert found.level == "stops" and "lacks METEOR's data/none.gz" in found.text
