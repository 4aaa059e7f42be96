"""The numbers of a paper's table, and its CSV."""

import copy
import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from support.llava_records import asked_record

from tasks.errors import OccupiedError
from tasks.evaluation.comparison import compare, compare_several
from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.metrics.registry import QUESTION_METRICS, QuestionMetric
from tasks.evaluation.paper_tables import (
    CSV_COLUMNS,
    PaperTable,
    csv_text,
    model_labels,
    paper_table,
    require_free,
)
from tasks.manifests import write_manifest
from tasks.settings import EvaluationConfig

IMAGES = 40
# right answers about the images of each source
RIGHT = {"base": (20, 30), "good": (37, 31), "better": (38, 32), "bad": (3, 29)}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The reports of RIGHT's models, on one question about each image; do not change them."""
    folder = tmp_path_factory.mktemp("paper")

    def records(right: tuple[int, int]) -> list[Any]:
        return [
            asked_record(f"{source}/{number}.tif", [("Is there a road?", "yes" if number < count else "no")])
            for source, count in zip(("LR/Train", "DOTA/images"), right, strict=True)
            for number in range(IMAGES)
        ]

    for name, right in {"test": (IMAGES, IMAGES), **RIGHT}.items():
        (folder / f"{name}.json").write_text(json.dumps(records(right)), encoding="utf-8")
    config = EvaluationConfig()
    files = [EvaluationFiles(folder / "test.json", folder / f"{name}.json") for name in RIGHT]
    return [evaluate(each, folder / each.predictions.stem, config).path for each in files]


@pytest.fixture(scope="module")
def table(reports: list[Path]) -> PaperTable:
    return paper_table(reports, compare_several(reports[0], reports[1:], None)["comparisons"], all_metrics=False)


@pytest.fixture
def edited(reports: list[Path], tmp_path: Path) -> Callable[[Callable[[Any], object]], list[Path]]:
    """A function that copies the reports and changes the scores of LR's questions in the copies."""

    def edit(change: Callable[[Any], object]) -> list[Path]:
        copies = [copytree(report, tmp_path / report.name) for report in reports]
        for folder in copies:
            metrics = json.loads((folder / "metrics.json").read_text())
            change(metrics["vqa"]["LR"])
            (folder / "metrics.json").write_text(json.dumps(metrics))
            write_manifest(folder, "edited", {})
        return copies

    return edit


def rows_of(table: PaperTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(table))))


def bold(table: PaperTable) -> dict[str, set[str]]:
    """The models in bold by source."""
    return {
        column.source: {table.models[number] for number, cell in cells.items() if cell.best}
        for column, cells in table.cells.items()
    }


def test_the_csv_has_scores_differences_and_corrected_p_values(reports: list[Path], table: PaperTable) -> None:
    rows = rows_of(table)
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [(row["source"], row["model"]) for row in rows] == [(s, m) for s in ("LR", "DOTA") for m in RIGHT]
    for row in rows:
        right = RIGHT[row["model"]][("LR", "DOTA").index(row["source"])]
        assert float(row["value"]) == pytest.approx(right / IMAGES, abs=1e-12)
        metrics = json.loads((reports[0].parent / row["model"] / "metrics.json").read_text())
        assert [float(row["low"]), float(row["high"])] == metrics["vqa"][row["source"]]["ci95"]["accuracy"]
        assert (row["task"], row["metric"]) == ("vqa", "accuracy")

    of_lr = rows[1:4]
    differences = [(RIGHT[row["model"]][0] - RIGHT["base"][0]) / IMAGES for row in of_lr]
    assert [float(row["difference"]) for row in of_lr] == pytest.approx(differences, abs=1e-12)
    # Holm by hand over both sources: the smallest of six p-values times 6, the next times 5, never below an earlier one
    tested = sorted((row for row in rows if row["p_value"]), key=lambda row: float(row["p_value"]))
    highest = 0.0
    for rank, row in enumerate(tested):
        highest = max(highest, min(1.0, (6 - rank) * float(row["p_value"])))
        assert float(row["p_value_holm"]) == pytest.approx(highest, abs=1e-12)
    assert len(tested) == 6
    assert [row["verdict"] for row in of_lr] == ["better", "better", "worse"]
    assert [row["verdict"] for row in rows[5:]] == ["tie"] * 3


def test_report_a_has_no_difference_from_itself(table: PaperTable) -> None:
    (first,) = [row for row in rows_of(table) if (row["model"], row["source"]) == ("base", "LR")]
    assert [first[name] for name in CSV_COLUMNS[7:]] == [""] * 4


def test_pandas_reads_the_csv(table: PaperTable, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    (tmp_path / "table.csv").write_text(csv_text(table), encoding="utf-8")
    found = pandas.read_csv(tmp_path / "table.csv")
    numbers = ["value", "low", "high", "difference", "p_value", "p_value_holm"]
    assert [*found.columns] == [*CSV_COLUMNS] and {str(found[name].dtype) for name in numbers} == {"float64"}
    assert found.pivot(index="model", columns="source", values="value").loc["good", "LR"] == 37 / IMAGES
    assert found[found.model == "base"].difference.isna().all()


def test_two_models_are_corrected_over_the_sources(reports: list[Path]) -> None:
    found = compare(reports[0], reports[3], None)
    rows = rows_of(paper_table([reports[0], reports[3]], [found], all_metrics=False))
    assert float(rows[1]["p_value_holm"]) == found["vqa"]["LR"]["accuracy"]["p_adjusted"]  # type: ignore[index,typeddict-item]
    assert float(rows[1]["p_value_holm"]) > float(rows[1]["p_value"])


def test_the_best_score_is_bold_and_so_are_ties_with_it(table: PaperTable) -> None:
    assert bold(table) == {"LR": {"good", "better"}, "DOTA": {"base", "good", "better", "bad"}}


def test_bold_does_not_contradict_the_marks(reports: list[Path]) -> None:
    comparisons = copy.deepcopy(compare_several(reports[0], reports[1:], None)["comparisons"])
    # as where the correction over another family of tests decides
    comparisons[1]["vqa"]["DOTA"]["accuracy"]["verdict"] = "better"  # type: ignore[index]
    assert bold(paper_table(reports, comparisons, all_metrics=False))["DOTA"] == {"good", "better", "bad"}


def test_report_a_may_be_the_best(reports: list[Path]) -> None:
    first = [reports[2], reports[3], reports[0]]
    comparisons = compare_several(first[0], first[1:], None)["comparisons"]
    assert bold(paper_table(first, comparisons, all_metrics=False))["LR"] == {"better"}


def test_all_metrics_include_those_without_a_test(reports: list[Path]) -> None:
    comparisons = compare_several(reports[0], reports[1:], None)["comparisons"]
    found = paper_table(reports, comparisons, all_metrics=True)
    rows = [row for row in rows_of(found) if row["metric"] == "average_accuracy" and row["source"] == "LR"]
    assert [float(row["value"]) for row in rows] == pytest.approx([right[0] / IMAGES for right in RIGHT.values()])
    assert {row["verdict"] for row in rows} == {""}
    best = {column.metric.name: found.models[max(cells)] for column, cells in found.cells.items()}
    assert set(best) >= {"accuracy", "average_accuracy"}
    untested = next(cells for column, cells in found.cells.items() if column.metric.name == "average_accuracy")
    assert [number for number, cell in untested.items() if cell.best] == [2]


def test_without_a_test_scores_that_print_alike_are_bold(edited: Any, reports: list[Path]) -> None:
    comparisons = compare_several(reports[0], reports[1:], None)["comparisons"]
    values = iter([0.5, 0.9004, 0.9001, 0.8994])
    found = paper_table(edited(lambda scores: scores.update(average_accuracy=next(values))), comparisons, True)
    cells = next(
        cells
        for column, cells in found.cells.items()
        if (column.metric.name, column.source) == ("average_accuracy", "LR")
    )
    assert [number for number, cell in cells.items() if cell.best] == [1, 2]


def test_an_interval_of_width_0_is_left_out(edited: Any, reports: list[Path]) -> None:
    comparisons = compare_several(reports[0], reports[1:], None)["comparisons"]
    copies = edited(lambda scores: scores["ci95"].update(accuracy=[0.5, 0.5]))
    rows = rows_of(paper_table(copies, comparisons, all_metrics=False))
    assert {(row["low"], row["high"]) for row in rows if row["source"] == "LR"} == {("", "")}
    assert all(row["low"] for row in rows if row["source"] == "DOTA")


def test_a_missing_score_has_no_row(edited: Any, reports: list[Path]) -> None:
    comparisons = compare_several(reports[0], reports[1:], None)["comparisons"]
    copies = edited(lambda scores: scores.update(accuracy=None))
    found = paper_table(copies, comparisons, all_metrics=False)
    assert {row["source"] for row in rows_of(found)} == {"DOTA"}
    # but its column stays
    assert [column.source for column in found.cells] == ["LR", "DOTA"]


def test_the_lowest_score_is_best_where_the_metric_says_so(
    reports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = QuestionMetric(
        name="wrong", score=lambda asked: float(not asked.right), version="1", higher_is_better=False
    )
    monkeypatch.setitem(QUESTION_METRICS, "wrong", wrong)
    folder, config = reports[0].parent, EvaluationConfig()
    scored = [
        evaluate(EvaluationFiles(folder / "test.json", folder / f"{name}.json"), tmp_path / name, config).path
        for name in ("base", "better", "bad")
    ]
    found = paper_table(scored, compare_several(scored[0], scored[1:], None)["comparisons"], all_metrics=True)
    cells = next(cells for column, cells in found.cells.items() if (column.metric, column.source) == (wrong, "LR"))
    assert [cell.best for cell in cells.values()] == [False, True, False]
    assert [cell.compared["verdict"] for cell in cells.values() if cell.compared] == ["better", "worse"]


def test_reports_of_the_same_name_are_labelled_by_their_runs(tmp_path: Path) -> None:
    folders = [tmp_path / "runs" / run / "reports" / model for run in ("one", "two") for model in ("base", "final")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "metrics.json").touch()
    assert model_labels(folders[:2]) == ["base", "final"]
    # the reports folder of a run is that of its final model
    assert model_labels([folders[0], folders[1], folders[2].parent]) == ["one/base", "one/final", "two/final"]
    assert model_labels([folders[0], folders[0]]) == ["base", "base"]


def test_a_name_that_is_not_utf_8_is_written(table: PaperTable, tmp_path: Path) -> None:
    (label,) = model_labels([tmp_path / "caf\udce9"])
    assert label == "final"
    (tmp_path / "caf\udce9").mkdir()
    (tmp_path / "caf\udce9" / "metrics.json").touch()
    (label,) = model_labels([tmp_path / "caf\udce9"])
    assert "caf?" in csv_text(replace(table, models=[label] * 4))


def test_only_files_of_the_same_content_may_exist(tmp_path: Path) -> None:
    (tmp_path / "same").write_text("text")
    (tmp_path / "folder").mkdir()
    require_free({tmp_path / "same": "text", tmp_path / "new": "text"})
    for path in (tmp_path / "same", tmp_path / "folder"):
        with pytest.raises(OccupiedError, match="already has other content"):
            require_free({path: "other"})
