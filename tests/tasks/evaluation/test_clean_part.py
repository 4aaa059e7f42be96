"""The clean part of a test set, alone and beside all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError, UserError
from tasks.evaluation.comparison import compare
from tasks.records import ReportRef
from tasks.settings import EvaluationConfig

QUESTIONS = [("Is there a road?", "yes"), ("How many roads are there?", "3")]
CONFIG = EvaluationConfig(bootstrap_draws=50, gallery=6)
ONLY_CLEAN = CONFIG.model_copy(update={"only_clean": True})
Evaluate = Callable[..., ReportRef]


@pytest.fixture
def audit(write: Any) -> Path:
    """The folder of an audit: of eight test images, the first two show what training shows."""
    names = [f"LR/Train/{n}.tif" for n in range(8)]
    return write("audit/audit.json", {"test_images": {"clean_images": names[2:], "leaking": names[:2]}}).parent


def test_the_clean_part_alone_is_scored_when_asked_for(
    report: Evaluate, vqa_files: dict[str, Path], audit: Path
) -> None:
    rows = json.loads(vqa_files["good"].read_text())
    for row in rows[:2]:
        row["conversations"][1]["value"] = "no"
    vqa_files["good"].write_text(json.dumps(rows))
    scores = json.loads((report(audit=audit, config=ONLY_CLEAN).path / "metrics.json").read_text())
    assert (scores["vqa"]["LR"]["images"], scores["vqa"]["LR"]["accuracy"]) == (6, 1)
    assert scores["protocol"]["test_set"].items() >= {"records": 6, "images": "clean"}.items()


def test_scores_of_the_clean_part_are_told_from_those_of_all(report: Evaluate, audit: Path) -> None:
    with pytest.raises(UserError, match="different test sets"):
        compare(report(out="all").path, report(out="clean", audit=audit, config=ONLY_CLEAN).path, None)
    with pytest.raises(UserError, match="already holds something else"):
        report(out="all", audit=audit)


def test_an_audit_of_other_sets_is_refused(report: Evaluate, write: Any) -> None:
    known = [f"LR/Train/{n}.tif" for n in range(7)]
    other = write("audit.json", {"test_images": {"clean_images": known, "leaking": []}})
    with pytest.raises(DataError, match=r"does not know the test image LR/Train/7\.tif"):
        report(audit=other)
    with pytest.raises(DataError, match="says nothing of clean test images"):
        report(audit=write("audit.json", {"pairs": []}))
    with pytest.raises(DataError, match="no test image is clean"):
        report(
            config=ONLY_CLEAN,
            audit=write("audit.json", {"test_images": {"clean_images": [], "leaking": [*known, "LR/Train/7.tif"]}}),
        )


def test_clean_images_are_scored_beside_all_as_they_would_be_alone(
    report: Evaluate, vqa_files: dict[str, Path], audit: Path
) -> None:
    files = {"audit": audit, "train": vqa_files["train"]}
    beside = json.loads((report(out="beside", **files).path / "metrics.json").read_text())
    alone = json.loads((report(out="alone", **files, config=ONLY_CLEAN).path / "metrics.json").read_text())
    assert beside["clean"]["vqa"]["LR"]["controls"]["majority"] == 1
    assert (beside["vqa"]["LR"]["images"], beside["clean"]["images"]) == (8, 6)
    assert beside["clean"]["vqa"] == alone["vqa"]
    assert "clean" not in alone
    assert beside["protocol"]["test_set"]["images"] == "all"


def test_a_test_set_without_clean_images_says_so_beside(report: Evaluate, write: Any) -> None:
    names = [f"LR/Train/{n}.tif" for n in range(8)]
    ref = report(audit=write("audit.json", {"test_images": {"clean_images": [], "leaking": names}}))
    assert json.loads((ref.path / "metrics.json").read_text())["clean"] == {"images": 0, "captioning": {}, "vqa": {}}
    assert "calls no test image clean" in (ref.path / "report.html").read_text()
