"""Report folders: their files, when they are written again, and which inputs are rejected."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tasks.errors import DataError, UserError
from tasks.files import digest_of
from tasks.records import ReportRef
from tasks.settings import EvaluationConfig

QUESTIONS = [("Is there a road?", "yes"), ("How many roads are there?", "3")]
CONFIG = EvaluationConfig(gallery=6)
ONLY_CLEAN = CONFIG.model_copy(update={"only_clean": True})
Evaluate = Callable[..., ReportRef]


def test_a_report_has_the_promised_files_and_keys(report: Evaluate, vqa_files: dict[str, Path]) -> None:
    ref = report(train=vqa_files["train"])
    assert sorted(path.name for path in ref.path.iterdir()) == [
        "MANIFEST.json",
        "metrics.json",
        "per_answer.jsonl",
        "report.html",
        "scores.jsonl",
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


def test_per_answer_has_a_row_for_each_answer(report: Evaluate) -> None:
    rows = [json.loads(line) for line in (report().path / "per_answer.jsonl").read_text().split("\n")[:-1]]
    assert len(rows) == 16
    expected = {"id": "LR/Train/0.tif", "question": "Is there a road?", "answer": "yes", "references": ["yes"]}
    assert expected.items() <= rows[0].items()
    assert (rows[0]["type"], rows[0]["right"], rows[1]["absolute_error"]) == ("presence", True, 0)


def test_evaluating_the_same_inputs_again_writes_nothing(report: Evaluate) -> None:
    first = report()
    before = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    assert report() == first
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == before


def test_the_same_inputs_give_the_same_report_in_another_folder(report: Evaluate) -> None:
    one, other = report(), report(out="other/final")
    assert one.sha256 == other.sha256


def test_a_damaged_report_is_written_again(report: Evaluate) -> None:
    first = report()
    (first.path / "metrics.json").write_text("{}")
    assert report() == first
    assert json.loads((first.path / "metrics.json").read_text())["version"] == 1


def test_a_report_of_other_answers_is_not_overwritten(report: Evaluate) -> None:
    kept = (report().path / "metrics.json").read_bytes()
    with pytest.raises(UserError, match="already holds something other"):
        report("bad")
    assert (report().path / "metrics.json").read_bytes() == kept


@pytest.mark.parametrize("other", ["seed", "train", "base", "images", "only_clean"])
def test_a_report_with_other_settings_or_inputs_is_not_overwritten(
    report: Evaluate, vqa_files: dict[str, Path], write: Any, tmp_path: Path, other: str
) -> None:
    names = [f"LR/Train/{n}.tif" for n in range(8)]
    audit = write("audit.json", {"test_images": {"clean_images": names, "leaking": []}})
    report(audit=audit)
    changed: dict[str, Any] = {
        "seed": {"config": EvaluationConfig(seed=29, gallery=6)},
        "train": {"train": vqa_files["train"]},
        "base": {"base": vqa_files["bad"]},
        "images": {"images": tmp_path},
        "only_clean": {"config": ONLY_CLEAN},
    }
    with pytest.raises(UserError, match="already holds something other"):
        report(**{"audit": audit, **changed[other]})


def test_a_report_is_identified_by_the_content_of_its_images_not_their_folder(report: Evaluate, tmp_path: Path) -> None:
    for folder, shown in (("here", "LR"), ("there", "LR"), ("other", "other")):
        for number in range(8):
            path = tmp_path / folder / f"LR/Train/{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{shown} {number}")
    first = report(images=tmp_path / "here")
    assert report(images=tmp_path / "there") == first
    with pytest.raises(UserError, match="already holds something other"):
        report(images=tmp_path / "other")


def test_the_fingerprint_digests_the_protocol_without_the_intervals(report: Evaluate) -> None:
    protocol = json.loads((report().path / "metrics.json").read_text())["protocol"]
    assert set(protocol) == {
        *("version", "tokenizer", "metrics", "hypothesis", "references", "document_frequency", "vqa", "count_bins"),
        *("shuffling_seed", "decoding", "test_set", "intervals", "fingerprint"),
    }
    compared = {name: value for name, value in protocol.items() if name not in ("intervals", "fingerprint")}
    assert protocol["fingerprint"] == digest_of(compared)


def test_a_folder_with_other_files_is_not_overwritten(report: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(UserError, match="already holds something other"):
        report(out="mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_answers_to_another_test_set_leave_nothing_behind(
    report: Evaluate, write: Any, record: Any, tmp_path: Path
) -> None:
    other = write("other_test.json", [record("LR/Train/70.tif", QUESTIONS)])
    with pytest.raises(DataError, match="not in the test set"):
        report(data=other)
    assert not (tmp_path / "reports").exists()


def test_the_error_names_a_missing_input_file(report: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.json does not exist"):
        report(train=tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="is a folder: give the path of an existing JSON file"):
        report(train=tmp_path)


def test_odd_answers_are_scored_and_escaped_in_the_page(
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
    assert "<script>alert" not in page
    assert "x" * 1000 not in page
    assert json.loads((ref.path / "metrics.json").read_text())["vqa"]["LR"]["accuracy"] == 0
    assert len((ref.path / "per_answer.jsonl").read_text().split("\n")) == 17


def test_the_page_needs_no_network(report: Evaluate, vqa_files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "imagenes" / "LR" / "Train").mkdir(parents=True)
    Image.new("RGB", (32, 32), "green").save(tmp_path / "imagenes" / "LR" / "Train" / "0.tif")
    page = (report(images=tmp_path / "imagenes", base=vqa_files["bad"]).path / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\(|@import|https?://""", page)
    assert "data:image/jpeg;base64," in page
    assert "image not readable" in page
    assert "better on 1 of 1" in page


def test_the_page_begins_with_the_verdict_in_words(full_report: Path) -> None:
    main = (full_report / "report.html").read_text().split('<main id="main">')[1]
    text = " ".join(re.sub("<[^>]+>", " ", main).split())
    assert text.startswith(
        "Better than answering blind, without the image: shown on 0 of 1 sources . Compared with the base model: better"
    )


def test_the_error_names_a_missing_images_folder(report: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        report(images=tmp_path / "nowhere")


def test_a_report_has_the_scores_of_captions_and_questions(full_report: Path) -> None:
    metrics = json.loads((full_report / "metrics.json").read_text())
    captions = metrics["captioning"]["NWPU"]
    assert (captions["images"], captions["controls"]["verbatim_train_share"]) == (3, 1)
    assert captions["BLEU-4"] == pytest.approx(1)
    assert set(captions["controls"]) >= {
        "train_consensus",
        "constant",
        "shuffled_images",
        "verbatim_train_share",
        "leave_one_out",
        "leave_one_out_images",
    }
    # the first image has the same caption twice
    assert (captions["controls"]["leave_one_out_images"], captions["controls"]["copied_references_images"]) == (2, 1)
    assert captions["diversity"]["distinct-1"] == pytest.approx(7 / 15)
    assert (captions["by_class"]["airport"]["images"], captions["diversity"]["median_length"]) == (3, 5)
    assert metrics["vqa"]["LR"]["questions"] == 2
    rows = [json.loads(line) for line in (full_report / "per_answer.jsonl").read_text().split("\n")[:-1]]
    assert rows[1]["references"] == ["three planes on the runway", "two planes on the runway"]
    assert sum(row["CIDEr"] for row in rows[:3]) / 3 == pytest.approx(captions["CIDEr"])
    assert rows[3]["CIDEr"] is None
