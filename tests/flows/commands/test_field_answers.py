"""Users' own data, evaluated: mixed records, tags, empty references, one image alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm

Records = list[dict[str, Any]]
QUESTION = ("<image>\nIs there a road?", " ")


def test_a_caption_and_questions_in_one_record_are_scored_separately(write: Any, mixed: Any, metrics_of: Any) -> None:
    found = metrics_of(write("test.json", mixed()), write("said.json", mixed(("99", "no"))))
    assert found["captioning"]["VRS"]["CIDEr"] == pytest.approx(10)
    assert (found["vqa"]["VRS"]["questions"], found["vqa"]["VRS"]["accuracy"]) == (16, 0)
    assert {kind: of["questions"] for kind, of in found["vqa"]["VRS"]["by_type"].items()} == {"count": 8, "presence": 8}


def test_right_answers_after_a_wrong_caption_count_as_right(write: Any, mixed: Any, metrics_of: Any) -> None:
    said = mixed()
    for row in said:
        row["conversations"][1]["value"] = "a desert"
    found = metrics_of(write("test.json", mixed()), write("said.json", said))
    assert found["captioning"]["VRS"]["CIDEr"] < 0.1 and found["vqa"]["VRS"]["accuracy"] == 1


@pytest.mark.parametrize("tag", ["[vqa] <image>\n", "<image>\n[vqa] ", "<image>\nBased on the image, "])
def test_a_tag_or_lead_in_does_not_change_the_question_type(write: Any, tag: str, record: Any, metrics_of: Any) -> None:
    test = [record(n, f"LR/Train/{n}.tif", (f"{tag}is there a road?", "yes")) for n in range(4)]
    path = write("test.json", test)
    assert list(metrics_of(path, path)["vqa"]["LR"]["by_type"]) == ["presence"]


@pytest.mark.parametrize("empty", ["", "  ", "..."])
def test_an_empty_reference_is_left_out_and_counted(
    write: Any, tmp_path: Path, empty: str, record: Any, mixed: Any, metrics_of: Any
) -> None:
    test, said = mixed(), mixed()
    for row in test[:2]:
        row["conversations"][3]["value"] = empty
    # another caption of the first image, and the only one of the second
    test.append(record("more", test[0]["image"], ("<image>\nDescribe the image", empty)))
    test[1]["conversations"][1]["value"] = empty
    said.append(record("more", test[0]["image"], ("<image>\nDescribe the image", "a harbor")))
    found = metrics_of(write("test.json", test), write("said.json", said))
    captions, answers = found["captioning"]["VRS"], found["vqa"]["VRS"]
    assert (captions["images"], captions["empty_references"]) == (7, 2)
    assert captions["CIDEr"] == pytest.approx(10)
    assert (answers["questions"], answers["empty_references"], answers["accuracy"]) == (14, 2, 1)
    lines = (tmp_path / "report-test" / "per_answer.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 25 and sum(row["right"] is not None for row in rows) == 14
    assert sum(row["CIDEr"] is not None for row in rows) == 7


def test_a_source_without_references_does_not_change_the_scores_of_others(
    write: Any, record: Any, metrics_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    test = [record(n, f"LR/Train/{n}.tif", ("<image>\nIs there a road?", "yes")) for n in range(3)]
    test += [
        record("c", "RSICD/images/1.jpg", ("<image>\nDescribe it", "...")),
        record("q", "DOTA/images/1.png", QUESTION),
    ]
    path = write("test.json", test)
    found = metrics_of(path, path)
    assert list(found["vqa"]) == ["LR"] and found["captioning"] == {}
    assert found["without_references"] == {"captioning": {"RSICD": 1}, "vqa": {"DOTA": 1}}
    assert "RSICD: 1 reference answers contain no word and are not scored\nDOTA: 1 reference" in capsys.readouterr().out
    assert rsvlm("compare", path.parent / "report-test", path.parent / "report-test") == 0


def test_a_test_set_without_references_is_refused(
    write: Any, tmp_path: Path, record: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("test.json", [record("q", "DOTA/images/1.png", QUESTION)])
    assert rsvlm("evaluate", "--data", path, "--predictions", path, "--out", tmp_path / "out") == 2
    assert "No reference answer in the test set contains a word" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_cider_of_a_single_image_is_null_and_explained(
    write: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], mixed: Any, metrics_of: Any
) -> None:
    path = write("one.json", mixed(images=1))
    found = metrics_of(path, path, "--base-predictions", path, "--lmms-eval", tmp_path / "log")
    captions = found["captioning"]["VRS"]
    assert captions["CIDEr"] is None and captions["ci95"]["CIDEr"] is None and captions["METEOR"] == 1
    assert all(captions["controls"][name] is None for name in ("shuffled_images", "leave_one_out", "constant"))
    assert "CIDEr is not defined for a single image" in capsys.readouterr().out
    assert "CIDEr is not defined for a single image" in (tmp_path / "report-one/report.html").read_text()
    assert rsvlm("compare", tmp_path / "report-one", tmp_path / "report-one") == 0
