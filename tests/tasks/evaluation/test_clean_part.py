"""Scores of the clean part of a test set, alone and in addition to all."""

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
CONFIG = EvaluationConfig(gallery=6)
ONLY_CLEAN = CONFIG.model_copy(update={"only_clean": True})
Evaluate = Callable[..., ReportRef]


@pytest.fixture
def audit(write: Any) -> Path:
    """The folder of an audit that calls the first two of eight test images leaking."""
    names = [f"LR/Train/{n}.tif" for n in range(8)]
    return write("audit/audit.json", {"test_images": {"clean_images": names[2:], "leaking": names[:2]}}).parent


def test_only_clean_scores_the_clean_images_alone(report: Evaluate, vqa_files: dict[str, Path], audit: Path) -> None:
    rows = json.loads(vqa_files["good"].read_text())
    for row in rows[:2]:
        row["conversations"][1]["value"] = "no"
    vqa_files["good"].write_text(json.dumps(rows))
    scores = json.loads((report(audit=audit, config=ONLY_CLEAN).path / "metrics.json").read_text())
    assert (scores["vqa"]["LR"]["images"], scores["vqa"]["LR"]["accuracy"]) == (6, 1)
    assert scores["protocol"]["test_set"].items() >= {"records": 6, "images": "clean"}.items()


def test_a_report_on_clean_images_cannot_be_compared_with_one_on_all(report: Evaluate, audit: Path) -> None:
    with pytest.raises(UserError, match="different test sets"):
        compare(report(out="all").path, report(out="clean", audit=audit, config=ONLY_CLEAN).path, None)
    with pytest.raises(UserError, match="already holds something other"):
        report(out="all", audit=audit)


def test_an_audit_of_other_sets_is_rejected(report: Evaluate, write: Any) -> None:
    known = [f"LR/Train/{n}.tif" for n in range(7)]
    other = write("audit.json", {"test_images": {"clean_images": known, "leaking": []}})
    with pytest.raises(DataError, match=r"does not cover the test image LR/Train/7\.tif"):
        report(audit=other)
    with pytest.raises(DataError, match="lists no clean test images"):
        report(audit=write("audit.json", {"pairs": []}))
    with pytest.raises(DataError, match="found no clean test image"):
        report(
            config=ONLY_CLEAN,
            audit=write("audit.json", {"test_images": {"clean_images": [], "leaking": [*known, "LR/Train/7.tif"]}}),
        )


def test_an_audit_adds_the_scores_that_only_clean_gives(
    report: Evaluate, vqa_files: dict[str, Path], audit: Path
) -> None:
    files = {"audit": audit, "train": vqa_files["train"]}
    both = json.loads((report(out="both", **files).path / "metrics.json").read_text())
    alone = json.loads((report(out="alone", **files, config=ONLY_CLEAN).path / "metrics.json").read_text())
    assert both["clean"]["vqa"]["LR"]["controls"]["majority"] == 1
    assert (both["vqa"]["LR"]["images"], both["clean"]["images"]) == (8, 6)
    assert both["clean"]["vqa"] == alone["vqa"]
    assert "clean" not in alone
    assert both["protocol"]["test_set"]["images"] == "all"


def test_a_report_says_when_no_test_image_is_clean(report: Evaluate, write: Any) -> None:
    names = [f"LR/Train/{n}.tif" for n in range(8)]
    ref = report(audit=write("audit.json", {"test_images": {"clean_images": [], "leaking": names}}))
    assert json.loads((ref.path / "metrics.json").read_text())["clean"] == {"images": 0, "captioning": {}, "vqa": {}}
    assert "found no clean test image" in (ref.path / "report.html").read_text()
