"""`rsvlm compare` with --latex and --csv."""

import json
from pathlib import Path

import pytest
from support.command_line import rsvlm
from support.llava_records import asked_record


@pytest.fixture
def reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[Path]:
    """The folders of two models' reports, the better one first."""
    for name, answer in (("test", "yes"), ("good", "Yes."), ("bad", "no")):
        records = [asked_record(f"LR/Train/{number}.tif", [("Is there a road?", answer)]) for number in range(10)]
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
    for name in ("good", "bad"):
        paths = tmp_path / "test.json", tmp_path / f"{name}.json", tmp_path / name
        assert rsvlm("evaluate", "--data", paths[0], "--predictions", paths[1], "--out", paths[2]) == 0
    capsys.readouterr()
    return [tmp_path / "good", tmp_path / "bad"]


def test_compare_writes_the_table_of_a_paper_and_keeps_it(
    reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsvlm("compare", *reports) == 0
    printed = capsys.readouterr().out
    paths = {kind: tmp_path / "paper" / f"table.{kind}" for kind in ("json", "tex", "csv")}
    options = ["--out", paths["json"], "--latex", paths["tex"], "--csv", paths["csv"]]
    assert rsvlm("compare", *reports, *options) == 0
    assert capsys.readouterr().out == printed
    assert r"bad & 0.000$^{\dagger}$ \\" in paths["tex"].read_text()
    good, bad = (row.split(",") for row in paths["csv"].read_text().split("\n")[1:3])
    assert good[:5] == ["good", "vqa", "LR", "accuracy", "1.0"] and good[7:] == [""] * 4
    assert [bad[index] for index in (0, 4, 7, 10)] == ["bad", "0.0", "-1.0", "worse"]
    before = {path: path.stat().st_ino for path in (paths["tex"], paths["csv"])}
    assert rsvlm("compare", *reports, *options) == 0
    assert {path: path.stat().st_ino for path in before} == before


@pytest.mark.parametrize("kind", ["--latex", "--csv", "--out"])
def test_compare_refuses_a_file_with_other_content_and_writes_nothing(
    reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    paths = {name: tmp_path / "paper" / name.strip("-") for name in ("--out", "--latex", "--csv")}
    paths[kind].parent.mkdir()
    paths[kind].write_text('"mine"')
    assert rsvlm("compare", *reports, *(word for pair in paths.items() for word in pair)) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {paths[kind]} already ") and error.count("\n") == 1
    assert [*paths[kind].parent.iterdir()] == [paths[kind]] and paths[kind].read_text() == '"mine"'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--latex", "same", "--csv", "same"],
            "Two of --out, --latex and --csv name the same file: give each its own.",
        ),
        (["--all-metrics"], "--all-metrics is for tables: add --latex FILE or --csv FILE."),
    ],
)
def test_compare_refuses_options_that_contradict(
    reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    paths = [tmp_path / word if word == "same" else word for word in options]
    assert rsvlm("compare", *reports, *paths) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (tmp_path / "same").exists()


def test_all_metrics_are_an_option_of_the_tables(reports: list[Path], tmp_path: Path) -> None:
    assert rsvlm("compare", *reports, "--csv", tmp_path / "t.csv", "--all-metrics") == 0
    rows = (tmp_path / "t.csv").read_text().split("\n")[1:-1]
    metrics = [row.split(",")[3] for row in rows]
    assert metrics[:2] == ["accuracy"] * 2 and metrics[-2:] == ["average_accuracy"] * 2
    assert metrics.count("accuracy_lenient") == 2
