"""`rsvlm evaluate` and `rsvlm compare` on answers of other programs."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm
from support.locations import REPO

from tasks.files import read_json

PAGE = REPO / "docs" / "your-own-data.md"
ROAD = "Is there a road?"


@pytest.fixture
def test_set(write: Any, record: Any) -> Path:
    """A question about each of eight images."""
    rows = [record(n, f"LR/Train/{n}.tif", (f"<image>\n{ROAD}", "yes" if n % 2 else "no")) for n in range(8)]
    return write("TEST.json", rows)


@pytest.fixture
def answers(write: Any) -> Any:
    """A function (name, answered, answer) -> answers of LLaVA to the first questions."""

    def make(name: str, answered: int = 8, answer: str = "yes") -> Path:
        rows = [{"question_id": n, "prompt": ROAD, "text": answer, "model_id": "m"} for n in range(answered)]
        return write(name, rows)

    return make


def test_the_report_names_the_file_and_the_format(
    test_set: Path, answers: Any, metrics_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    found = metrics_of(test_set, answers("llava.jsonl"))
    origin = {"file": "llava.jsonl", "format": "LLaVA answers", "matched_by": {"id": 8}, "repeated": 0, "foreign": 0}
    assert found["answers"] == origin and found["protocol"]["decoding"] == {"unknown": "answers of another program"}
    assert found["vqa"]["LR"]["accuracy"] == 0.5 and "partial" not in found
    assert "answers: LLaVA answers, matched by id\n" in capsys.readouterr().out
    page = (test_set.parent / "report-TEST" / "report.html").read_text()
    assert re.search(r"Answers of another program, from <code>llava.jsonl</code>.*not known", page.split("<main")[0])


def test_missing_answers_need_partial_and_every_page_says_so(
    test_set: Path, answers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half, out = answers("half.jsonl", 5), tmp_path / "half"
    command = ("evaluate", "--data", test_set, "--predictions", half, "--out", out)
    assert rsvlm(*command) == 2 and not out.exists()
    assert "lacks answers to 3 of 8 questions: 'Is there a road?' of record '5'" in capsys.readouterr().err
    assert rsvlm(*command, "--partial") == 0
    says = "only 5 of 8 questions are answered"
    assert says in capsys.readouterr().out
    found = read_json(out / "metrics.json")
    assert found["partial"] == {"answered": 5, "questions": 8} and found["vqa"]["LR"]["questions"] == 5
    assert says in (out / "report.html").read_text().split("<main")[0].replace("Only", "only")
    assert rsvlm("compare", out, out, "--latex", tmp_path / "t.tex") == 0
    assert says in capsys.readouterr().out and "5 of 8 questions" in (tmp_path / "t.tex").read_text()


def test_a_part_is_not_compared_with_the_whole(
    test_set: Path, answers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, answered in (("half", 5), ("rest", 6), ("whole", 8)):
        files = ("--data", test_set, "--predictions", answers(f"{name}.jsonl", answered))
        assert rsvlm("evaluate", *files, "--out", tmp_path / name, "--partial") == 0
    for other in ("rest", "whole"):
        assert rsvlm("compare", tmp_path / "half", tmp_path / other) == 2
        assert "(half" in capsys.readouterr().err


def test_answers_of_another_program_are_compared_with_our_own(
    test_set: Path, answers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "predictions"
    own.mkdir()
    (own / "final.json").write_bytes(test_set.read_bytes())
    (own / "STARTED.json").write_text(json.dumps({"inputs": {"inference.max_new_tokens": 3}}))
    for name, path in (("own", own / "final.json"), ("other", answers("llava.jsonl"))):
        assert rsvlm("evaluate", "--data", test_set, "--predictions", path, "--out", tmp_path / name) == 0
    capsys.readouterr()
    assert rsvlm("compare", tmp_path / "own", tmp_path / "other", "--out", tmp_path / "c.json") == 0
    assert "how the answers of other were decoded is not known" in capsys.readouterr().out
    assert read_json(tmp_path / "c.json")["unknown_decoding"] == ["other"]


def test_answers_beside_our_own_do_not_take_their_decoding(test_set: Path, answers: Any, metrics_of: Any) -> None:
    (test_set.parent / "STARTED.json").write_text(json.dumps({"inputs": {"inference.max_new_tokens": 3}}))
    assert metrics_of(test_set, answers("llava.jsonl"))["protocol"]["decoding"] == {
        "unknown": "answers of another program"
    }


def commands_of_the_page() -> list[str]:
    """The commands of the section about answers."""
    section = PAGE.read_text(encoding="utf-8").partition("## Score answers of another tool")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```\n(.*?)^```$", section.replace("\\\n", " "), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.split("\n") if line.startswith("rsvlm")]


def test_the_commands_of_the_page_work(
    test_set: Path, answers: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    answers("answers.jsonl")
    answers("half.jsonl", 5)
    Path("answers.csv").write_text("id,answer\n" + "".join(f"{n},no\n" for n in range(8)))
    lines = commands_of_the_page()
    assert len(lines) >= 4
    for line in lines:
        assert rsvlm(*shlex.split(line)[1:]) == 0, line


def test_the_page_names_every_key_of_an_answer() -> None:
    from tasks.evaluation.answers.given import PREDICTION

    [listed] = re.findall(r"^The answer is under (.*?)\.", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", listed)) == {*PREDICTION, "text", "answer", "caption"}
