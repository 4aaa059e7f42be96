"""`rsvlm evaluate` and `rsvlm compare`."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main


def vqa_records(answer: str) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image": f"LR/Train/{number}.tif",
            "conversations": [
                {"from": "human", "value": "<image>\nIs there a road?"},
                {"from": "gpt", "value": answer},
            ],
        }
        for number in range(10)
    ]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    paths = {}
    for name, answer in (("test", "yes"), ("good", "Yes."), ("bad", "no")):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(vqa_records(answer)))
        paths[name] = str(path)
    return paths


def evaluated(files: dict[str, str], name: str, out: Path, *more: str) -> int:
    return main(["evaluate", "--data", files["test"], "--predictions", files[name], "--out", str(out), *more])


def test_a_table_and_the_place_of_the_report_are_printed(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluated(files, "good", tmp_path / "final", "--train", files["test"]) == 0
    printed = capsys.readouterr().out.split("\n")
    assert printed[1].split() == ["LR", "accuracy", "1.000", "1.000", "to", "1.000", "1.000"]
    assert printed[-2] == f"report: {tmp_path / 'final' / 'report.html'}"


def test_a_verdict_is_printed_and_written(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(files, "bad", tmp_path / "reports" / "base")
    evaluated(files, "good", tmp_path / "reports" / "final")
    capsys.readouterr()
    out = tmp_path / "comparison.json"
    assert main(["compare", str(tmp_path / "reports" / "base"), str(tmp_path / "reports"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split("\n")[1].split()[-3:] == ["better", "10", "6"]
    assert json.loads(out.read_text())["vqa"]["LR"]["accuracy"]["difference"] == 1


def test_what_an_audit_calls_clean_is_scored_alone(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, rows in (("train", vqa_records("yes")[:3]), ("test", vqa_records("yes"))):
        (tmp_path / "sets").mkdir(exist_ok=True)
        (tmp_path / "sets" / f"data_{name}.json").write_text(json.dumps(rows))
    (tmp_path / "imagenes").mkdir()
    audit = ["data", "audit", files["test"], "--images", str(tmp_path / "imagenes"), "--sets", str(tmp_path / "sets")]
    assert main([*audit, "--out", str(tmp_path / "audit")]) == 0
    assert evaluated(files, "good", tmp_path / "final", "--only-clean", str(tmp_path / "audit")) == 0
    assert json.loads((tmp_path / "final" / "metrics.json").read_text())["vqa"]["LR"]["images"] == 7
    assert "only images that training does not show" in (tmp_path / "final" / "report.html").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[0]],
        lambda rows: [{**rows[0], "id": 77}, *rows[1:]],
        lambda rows: {"records": rows},
        lambda rows: [{**rows[0], "conversations": "x"}, *rows[1:]],
    ],
    ids=["missing", "doubled", "foreign", "no list", "wrong type"],
)
def test_wrong_answers_end_with_2_and_leave_nothing(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any
) -> None:
    Path(files["good"]).write_text(json.dumps(damage(vqa_records("yes"))))
    assert evaluated(files, "good", tmp_path / "final") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert len(printed.err.strip().split("\n")) == 1
    assert not (tmp_path / "final").exists()


def test_a_cut_off_file_ends_with_2(files: dict[str, str], tmp_path: Path) -> None:
    Path(files["good"]).write_text('[{"id": 1, "ima')
    assert evaluated(files, "good", tmp_path / "final") == 2
