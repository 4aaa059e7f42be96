"""The tables of a report."""

from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.evaluate_answers import EvaluationFiles, evaluate
from tasks.evaluation.tables import score_rows
from tasks.settings import EvaluationConfig

ODD = "yes\u2028\u0085 and no"


@pytest.fixture
def report(write: Any, record: Any, tmp_path: Path) -> Path:
    turns = [("Is there a road?", "yes"), ("How many roads are there?", "3")]
    test = [record(f"LR/Train/{n}.tif", turns, f"00{n}") for n in range(8)]
    said = [record(f"LR/Train/{n}.tif", [(turns[0][0], ODD if n else "yes"), (turns[1][0], "5")]) for n in range(8)]
    said = [{**answered, "id": asked["id"]} for answered, asked in zip(said, test, strict=True)]
    files = EvaluationFiles(write("test.json", test), write("final.json", said), write("train.json", test))
    return evaluate(files, tmp_path / "final", EvaluationConfig()).path


def test_tables_load_into_pandas_in_one_line(report: Path) -> None:
    pandas = pytest.importorskip("pandas")
    scores = pandas.read_json(report / "scores.jsonl", lines=True)
    answers = pandas.read_json(report / "per_answer.jsonl", lines=True, dtype={"id": str})
    found = scores[(scores.type == "count") & (scores.metric == "mean_absolute_error")]
    assert list(found.value) == [2]
    assert len(answers) == 16
    assert (answers.id[0], answers.answer[2]) == ("000", ODD)
    assert answers[answers.type == "presence"].right.sum() == 1


def test_every_score_has_a_row_with_its_interval() -> None:
    metrics = {
        "captioning": {},
        "vqa": {
            "LR": {
                "accuracy": 0.5,
                "published_as": {"accuracy": "OA"},
                "yes_bias": {"questions": 2, "mcc": None},
                "ci95": {"accuracy": [0.4, 0.6]},
                "controls": {"majority": 0.3, "question_only": None},
                "by_type": {"count": {"accuracy": 0.1, "confusion": {"0": {"0": 1}}, "no_answer": {"empty": 2}}},
            }
        },
    }
    rows = score_rows("final", {**metrics, "clean": {"images": 3, **metrics}})
    assert [(row["images"], row["type"], row["metric"], row["value"], row["low"]) for row in rows[:5]] == [
        ("all", "all", "accuracy", 0.5, 0.4),
        ("all", "all", "control.majority", 0.3, None),
        ("all", "all", "yes_bias.questions", 2, None),
        ("all", "count", "accuracy", 0.1, None),
        ("all", "count", "no_answer.empty", 2, None),
    ]
    assert [row["images"] for row in rows] == ["all"] * 5 + ["clean"] * 5
    assert [row["published_as"] for row in rows[:4]] == ["OA", None, None, None]


def test_diversity_and_scene_classes_have_rows() -> None:
    of_class = {"images": 4, "CIDEr": 0.2, "ci95": {"CIDEr": [0.1, 0.3]}}
    scores = {
        "images": 9,
        "ci95": {},
        "diversity": {"distinct-1": 0.5, "distinct-2": None},
        "by_class": {"port": of_class},
    }
    metrics: Any = {"captioning": {"RSICD": scores}, "vqa": {}}
    assert [(row["type"], row["metric"], row["value"], row["low"]) for row in score_rows("final", metrics)] == [
        ("all", "images", 9, None),
        ("all", "diversity.distinct-1", 0.5, None),
        ("class.port", "images", 4, None),
        ("class.port", "CIDEr", 0.2, 0.1),
    ]
