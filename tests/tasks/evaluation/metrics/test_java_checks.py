"""The scorers of captions are tried before a run, in the time of a start of Java."""

from pathlib import Path

import pytest

from tasks.errors import UserError
from tasks.evaluation.metrics import java_checks as scorers_tried
from tasks.evaluation.metrics.java_checks import try_scorers
from tasks.preflight.service_checks import java_findings

# each says that it is Java 17, and then does something else
JAVAS = {
    "ends": "echo 'Error: could not find or load main class' >&2; exit 1",
    "is killed": "kill -9 $$",
    "says nothing": "cat > /dev/null",
    # as the tokenizer, then nothing as METEOR
    "never answers": "case \"$*\" in *PTB*) echo 'a plane on the runway';; *) exec cat > /dev/null;; esac",
    "says something else": "while read line; do echo nonsense; done",
}


def test_this_machine_can_score() -> None:
    try_scorers()
    assert [found.level for found in java_findings()] == ["ok"]


@pytest.mark.parametrize("kind", JAVAS)
def test_a_java_that_cannot_run_the_scorers_stops_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    script = tmp_path / "java"
    script.write_text(f"""#!/bin/sh
case "$*" in *-version*) echo 'openjdk version "17.0.2"' >&2; exit 0;; esac
{JAVAS[kind]}
""")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(scorers_tried, "LIMIT_S", 1)
    with pytest.raises(UserError, match="Captions cannot be scored with this Java"):
        try_scorers()
    (found,) = java_findings()
    assert found.level == "stops" and "\n" not in found.text


def test_a_package_that_lacks_a_part_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers_tried, "PARAPHRASES", "data/none.gz")
    (found,) = java_findings()
    assert found.level == "stops" and "lacks METEOR's data/none.gz" in found.text
