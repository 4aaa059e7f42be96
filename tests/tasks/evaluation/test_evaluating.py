"""From two files to a report folder: what it holds, when it is made again, and what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.errors import DataError, UserError
from tasks.evaluation.comparing import compare
from tasks.evaluation.evaluating import EvaluationFiles, evaluate
from tasks.records import ReportRef
from tasks.settings import EvaluationConfig

QUESTIONS = [("Is there a road?", "yes"), ("How many roads are there?", "3")]
CONFIG = EvaluationConfig(bootstrap_draws=50, gallery=6)


@pytest.fixture
def vqa_files(write: Any, record: Any) -> dict[str, Path]:
    """A test set of questions, two models' answers to it, and a training set."""
    test = [record(f"LR/Train/{n}.tif", QUESTIONS) for n in range(8)]
    good = [record(f"LR/Train/{n}.tif", [(q, truth) for q, truth in QUESTIONS]) for n in range(8)]
    bad = [record(f"LR/Train/{n}.tif", [(q, "no") for q, _ in QUESTIONS]) for n in range(8)]
    files = {"test": test, "good": good, "bad": bad, "train": [record("LR/Train/90.tif", QUESTIONS)]}
    return {name: write(f"{name}.json", rows) for name, rows in files.items()}


Evaluate = Callable[..., ReportRef]


@pytest.fixture
def report(vqa_files: dict[str, Path], tmp_path: Path) -> Evaluate:
    """A function (answers, out) -> a report of questions."""

    def make(answers: str = "good", out: str = "reports/final", **options: Any) -> ReportRef:
        config = options.pop("config", CONFIG)
        files = EvaluationFiles(**{"data": vqa_files["test"], "predictions": vqa_files[answers], **options})
        return evaluate(files, tmp_path / out, config)

    return make


def test_a_report_holds_what_is_promised(report: Evaluate, vqa_files: dict[str, Path]) -> None:
    ref = report(train=vqa_files["train"])
    assert sorted(path.name for path in ref.path.iterdir()) == [
        "MANIFEST.json",
        "metrics.json",
        "per_answer.jsonl",
        "report.html",
    ]
    metrics = json.loads((ref.path / "metrics.json").read_text())
    assert list(metrics) == ["version", "protocol", "captioning", "vqa", "reference_protocol"]
    assert re.fullmatch("[0-9a-f]{64}", metrics["protocol"]["fingerprint"])
    scores = metrics["vqa"]["LR"]
    assert {"images", "questions", "accuracy", "ci95", "by_type", "controls"} <= set(scores)
    assert set(scores["by_type"]["count"]) >= {"questions", "accuracy", "accuracy_binned", "mean_absolute_error"}
    assert scores["controls"]["question_only"] == 1
    assert set(metrics["reference_protocol"]) == {"records", "CIDEr", "CIDEr_nonzero"}
    assert ref.model == "final"


def test_each_answer_has_a_row(report: Evaluate) -> None:
    rows = [json.loads(line) for line in (report().path / "per_answer.jsonl").read_text().split("\n")[:-1]]
    assert len(rows) == 16
    expected = {"id": "LR/Train/0.tif", "question": "Is there a road?", "answer": "yes", "references": ["yes"]}
    assert expected.items() <= rows[0].items()
    assert (rows[0]["type"], rows[0]["right"], rows[1]["absolute_error"]) == ("presence", True, 0)


def test_the_same_inputs_again_do_nothing(report: Evaluate) -> None:
    first = report()
    before = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    assert report() == first
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == before


def test_the_same_inputs_elsewhere_give_the_same_scores(report: Evaluate) -> None:
    one, other = report(), report(out="other/final")
    assert one.sha256 == other.sha256


def test_a_damaged_report_is_made_again(report: Evaluate) -> None:
    first = report()
    (first.path / "metrics.json").write_text("{}")
    assert report() == first
    assert json.loads((first.path / "metrics.json").read_text())["version"] == 1


def test_a_report_of_other_answers_is_not_overwritten(report: Evaluate) -> None:
    kept = (report().path / "metrics.json").read_bytes()
    with pytest.raises(UserError, match="already holds something else"):
        report("bad")
    assert (report().path / "metrics.json").read_bytes() == kept


def test_a_folder_of_the_users_is_not_overwritten(report: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="already holds something else"):
        report(out="mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_answers_to_another_test_set_leave_nothing_behind(
    report: Evaluate, write: Any, record: Any, tmp_path: Path
) -> None:
    other = write("other_test.json", [record("LR/Train/70.tif", QUESTIONS)])
    with pytest.raises(DataError, match="not in the test set"):
        report(data=other)
    assert not (tmp_path / "reports").exists()


def test_a_missing_file_is_named(report: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json does not exist"):
        report(train=tmp_path / "nowhere.json")


def test_odd_answers_are_scored_and_shown(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, record: Any
) -> None:
    odd = [
        "\u2028",
        "\u0645\u0637\u0627\u0631",
        "\U0001f44d",
        "",
        "x" * 100_000,
        "<script>alert(1)</script>",
        "\r\n",
        "8",
    ]
    answers = [record(f"LR/Train/{n}.tif", [(q, text) for q, _ in QUESTIONS]) for n, text in enumerate(odd)]
    vqa_files["odd"] = write("odd.json", answers)
    ref = report("odd")
    page = (ref.path / "report.html").read_text()
    assert "<script>" not in page
    assert "x" * 1000 not in page
    assert json.loads((ref.path / "metrics.json").read_text())["vqa"]["LR"]["accuracy"] == 0
    assert len((ref.path / "per_answer.jsonl").read_text().split("\n")) == 17


def test_the_page_needs_no_network(report: Evaluate, vqa_files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "imagenes" / "LR" / "Train").mkdir(parents=True)
    Image.new("RGB", (32, 32), "green").save(tmp_path / "imagenes" / "LR" / "Train" / "0.tif")
    page = (report(images=tmp_path / "imagenes", base=vqa_files["bad"]).path / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)|url\(|@import|https?://""", page)
    assert "data:image/jpeg;base64," in page
    assert "image not readable" in page
    assert "better on 1 of 1" in page


def test_a_missing_images_folder_is_named(report: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        report(images=tmp_path / "nowhere")


def test_two_reports_are_compared(report: Evaluate, tmp_path: Path) -> None:
    bad, _good = report("bad", "reports/base"), report()
    out = tmp_path / "reports" / "comparison.json"
    # the folder of a run's reports stands for its final
    result = compare(bad.path, tmp_path / "reports", out)
    assert (result["a"]["model"], result["b"]["model"]) == ("base", "final")
    assert result["vqa"]["LR"]["accuracy"]["verdict"] == "better"
    assert json.loads(out.read_text()) == result
    assert compare(bad.path, tmp_path / "reports", out) == result


def test_another_comparison_is_not_overwritten(report: Evaluate, tmp_path: Path) -> None:
    bad, good = report("bad", "reports/base"), report()
    compare(bad.path, good.path, tmp_path / "comparison.json")
    with pytest.raises(UserError, match="already holds something else"):
        compare(good.path, bad.path, tmp_path / "comparison.json")


def test_reports_of_different_test_sets_are_refused(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, record: Any
) -> None:
    vqa_files["other"] = write("other.json", [record("LR/Train/70.tif", QUESTIONS)])
    other = report("other", "reports/other", data=vqa_files["other"])
    with pytest.raises(UserError, match="different test sets"):
        compare(report().path, other.path, None)


def test_reports_of_different_decoding_are_refused(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, tmp_path: Path
) -> None:
    write("predicted/STARTED.json", {"inputs": {"inference.history": "predicted", "model": "x"}})
    shutil.copy(vqa_files["good"], tmp_path / "predicted" / "final.json")
    vqa_files["predicted"] = tmp_path / "predicted" / "final.json"
    with pytest.raises(UserError, match="different protocols \\(decoding differ\\)"):
        compare(report().path, report("predicted", "reports/predicted").path, None)


def test_other_bootstrap_draws_do_not_hinder_a_comparison(report: Evaluate) -> None:
    other = report("bad", "reports/base", config=EvaluationConfig(bootstrap_draws=20))
    assert compare(other.path, report().path, None)["vqa"]["LR"]["accuracy"]["verdict"] == "better"


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no whole report"):
        compare(tmp_path, tmp_path, None)


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
    scores = json.loads((report(audit=audit).path / "metrics.json").read_text())
    assert (scores["vqa"]["LR"]["images"], scores["vqa"]["LR"]["accuracy"]) == (6, 1)
    assert scores["protocol"]["test_set"].items() >= {"records": 6, "images": "clean"}.items()


def test_scores_of_the_clean_part_are_told_from_those_of_all(report: Evaluate, audit: Path) -> None:
    with pytest.raises(UserError, match="different test sets"):
        compare(report(out="all").path, report(out="clean", audit=audit).path, None)
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
        report(audit=write("audit.json", {"test_images": {"clean_images": [], "leaking": [*known, "LR/Train/7.tif"]}}))


def test_captions_and_questions_are_scored_together(write: Any, captions_of: Any, record: Any, tmp_path: Path) -> None:
    texts = [f"{number} planes on the runway" for number in ("two", "three", "four")]
    test = [captions_of(f"NWPU/NWPU_images/airport/airport_{n}.jpg", [text, texts[0]]) for n, text in enumerate(texts)]
    said = [captions_of(f"NWPU/NWPU_images/airport/airport_{n}.jpg", [text]) for n, text in enumerate(texts)]
    both = record("LR/Train/1.tif", QUESTIONS)
    files = [write(f"{name}.json", [*rows, both]) for name, rows in (("test", test), ("said", said), ("train", test))]
    ref = evaluate(EvaluationFiles(*files, base=files[1]), tmp_path / "report", CONFIG)
    metrics = json.loads((ref.path / "metrics.json").read_text())
    captions = metrics["captioning"]["NWPU"]
    assert (captions["images"], captions["controls"]["verbatim_train_share"]) == (3, 1)
    assert captions["BLEU-4"] == pytest.approx(1)
    assert set(captions["controls"]) >= {
        "train_consensus",
        "constant",
        "shuffled_images",
        "verbatim_train_share",
        "leave_one_out",
    }
    rows = [json.loads(line) for line in (ref.path / "per_answer.jsonl").read_text().split("\n")[:-1]]
    assert rows[1]["references"] == [texts[1], texts[0]]
    assert sum(row["CIDEr"] for row in rows[:3]) / 3 == pytest.approx(captions["CIDEr"])
    assert rows[3]["CIDEr"] is None
