"""The files of the field themselves, where they are."""

from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm
from support.locations import FIELD

from tasks.files import read_json

Records = list[dict[str, Any]]
SETS = ("data_train", "data_val", "data_test")


@pytest.fixture
def field() -> Path:
    if not FIELD.exists():
        pytest.skip("files of the field not present")
    return FIELD


def test_images_without_folders_are_split_reduced_and_scored(field: Path, tmp_path: Path) -> None:
    raw = field / "flat_names_train.json"
    assert rsvlm("data", "split", raw, tmp_path / "sets") == 0
    assert [len(read_json(tmp_path / "sets" / f"{name}.json")) for name in SETS] == [63, 9, 18]
    assert rsvlm("data", "reduce", raw, tmp_path / "part.json", "--ratio", "0.1") == 0
    assert len(read_json(tmp_path / "part.json")) == 9
    out = tmp_path / "report"
    answers = field / "flat_names_answers.json"
    assert rsvlm("evaluate", "--data", raw, "--predictions", answers, "--out", out) == 0
    found = read_json(out / "metrics.json")
    assert list(found["captioning"]) == list(found["vqa"]) == ["unnamed"]
    assert found["grounding"]["unnamed"]["mean_iou"] == 1 and found["vqa"]["unnamed"]["questions"] == 30


def test_reduce_keeps_all_five_records_of_an_image(field: Path, tmp_path: Path) -> None:
    assert rsvlm("data", "reduce", field / "reduce_five_records.json", tmp_path / "a.json", "--ratio", "0.05") == 0
    assert read_json(tmp_path / "a.manifest.json")["kept"] == {"RSICD": 5, "NWPU": 10}


@pytest.mark.parametrize(
    ("name", "vqa"),
    [
        ("mixed_record", {"accuracy": 0.0, "questions": 16}),
        ("task_tag", {"questions": 8}),
        ("answer_forms", {"accuracy": 9 / 33, "questions": 33}),
    ],
)
def test_answers_in_the_style_of_other_tools_have_known_scores(
    field: Path, tmp_path: Path, name: str, vqa: dict[str, float]
) -> None:
    files = ("--data", field / f"{name}_test.json", "--predictions", field / f"{name}_answers.json")
    assert rsvlm("evaluate", *files, "--out", tmp_path / "out") == 0
    found = read_json(tmp_path / "out" / "metrics.json")
    [scores] = found["vqa"].values()
    assert {key: scores[key] for key in vqa} == pytest.approx(vqa)
    if name == "task_tag":
        assert list(scores["by_type"]) == ["presence"]
    if name == "mixed_record":
        assert found["captioning"]["VRS"]["images"] == 8


@pytest.mark.parametrize(
    ("name", "reason", "kept"),
    [
        ("text_only", "no image: text alone", 1),
        ("two_images", "several images", 0),
        ("system_turn", "turn of a", 0),
    ],
)
def test_unusable_records_are_dropped_and_counted(
    field: Path, tmp_path: Path, name: str, reason: str, kept: int
) -> None:
    assert rsvlm("data", "filter", field / f"{name}.json", tmp_path / "a.json") == 0
    manifest = read_json(tmp_path / "a.manifest.json")
    assert manifest["records"] == kept and list(manifest["dropped"].values()) == [1]
    assert next(iter(manifest["dropped"])).startswith(reason)


@pytest.mark.parametrize("name", ["geochat_questions", "geochat_answers", "llava_answers"])
def test_json_lines_of_another_layout_are_refused_with_their_keys(
    field: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsvlm("data", "split", field / f"{name}.jsonl", tmp_path / "sets") == 2
    said = capsys.readouterr().err
    assert f"{name}.jsonl: line 1 has no id, but 'question_id, " in said and "damaged" not in said
