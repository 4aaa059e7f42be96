"""The files of the field themselves, where they are: each in one or two commands to what is right for it."""

from pathlib import Path
from typing import Any

import pytest
from support.command_line import rsvlm
from support.files import encoded
from support.locations import FIELD

from tasks.files import read_json

Records = list[dict[str, Any]]
SETS = ("data_train", "data_val", "data_test")


@pytest.fixture
def field() -> Path:
    if not FIELD.exists():
        pytest.skip("files of the field not present")
    return FIELD


def scores_of(data: Path, answers: Path, out: Path) -> dict[str, Any]:
    assert rsvlm("evaluate", "--data", data, "--predictions", answers, "--out", out) == 0
    return read_json(out / "metrics.json")


def test_images_without_folders_are_split_reduced_and_scored(field: Path, tmp_path: Path) -> None:
    raw = field / "flat_names_train.json"
    assert rsvlm("data", "split", raw, tmp_path / "sets") == 0
    assert [len(read_json(tmp_path / "sets" / f"{name}.json")) for name in SETS] == [63, 9, 18]
    assert rsvlm("data", "reduce", raw, tmp_path / "part.json", "--ratio", "0.1") == 0
    assert len(read_json(tmp_path / "part.json")) == 9
    found = scores_of(raw, field / "flat_names_answers.json", tmp_path / "report")
    assert list(found["captioning"]) == list(found["vqa"]) == ["unnamed"]
    assert found["grounding"]["unnamed"]["mean_iou"] == 1 and found["vqa"]["unnamed"]["questions"] == 30


def test_reduce_keeps_all_five_records_of_an_image(field: Path, tmp_path: Path) -> None:
    assert rsvlm("data", "reduce", field / "reduce_five_records.json", tmp_path / "a.json", "--ratio", "0.05") == 0
    assert read_json(tmp_path / "a.manifest.json")["kept"] == {"RSICD": 5, "NWPU": 10}


@pytest.mark.parametrize(
    ("name", "vqa"),
    [
        ("mixed_record", {"accuracy": 0, "questions": 16}),
        ("task_tag", {"accuracy": 1, "questions": 8}),
        ("answer_forms", {"accuracy": 9 / 33, "accuracy_lenient": 30 / 33, "questions": 33}),
    ],
)
def test_answers_in_the_style_of_other_tools_have_known_scores(
    field: Path, tmp_path: Path, name: str, vqa: dict[str, float]
) -> None:
    found = scores_of(field / f"{name}_test.json", field / f"{name}_answers.json", tmp_path / "out")
    [scores] = found["vqa"].values()
    assert {key: scores[key] for key in vqa} == pytest.approx(vqa)
    if name == "task_tag":
        assert list(scores["by_type"]) == ["presence"]
    if name == "mixed_record":
        assert (found["captioning"]["VRS"]["images"], found["captioning"]["VRS"]["CIDEr"]) == (8, pytest.approx(10))


RSVQA = ("rsvqa_questions.json", "rsvqa_answers.json", "rsvqa_images.json")
GEOCHAT_TYPES = {"comparison": 3, "presence": 6, "rural_urban": 3}
# files to import; the file of answers, or None for the imported one; questions by type
QUESTIONS: list[tuple[tuple[str, ...], str | None, dict[str, int]]] = [
    (RSVQA, "rsvqa_answers.json", {"presence": 1}),
    (("geochat_questions.jsonl",), "geochat_answers.jsonl", GEOCHAT_TYPES),
    (("geochat_questions.jsonl",), "llava_answers.jsonl", GEOCHAT_TYPES),
    (("number_answer.json",), "number_answer.json", {"count": 1}),
    (("llamafactory_messages.json",), None, {"presence": 1}),
    (("llamafactory_sharegpt.json",), None, {"presence": 1}),
]


@pytest.mark.parametrize(("files", "answers", "types"), QUESTIONS, ids=lambda each: str(each))
def test_questions_are_imported_and_scored(
    field: Path, tmp_path: Path, files: tuple[str, ...], answers: str | None, types: dict[str, int]
) -> None:
    data, number = tmp_path / "imported.json", sum(types.values())
    assert rsvlm("data", "import", *(field / name for name in files), "--source", "LR", "--out", data) == 0
    assert read_json(tmp_path / "imported.manifest.json")["kept"] == {"LR": number}
    scores = scores_of(data, field / answers if answers else data, tmp_path / "out")["vqa"]["LR"]
    assert (scores["accuracy"], scores["questions"]) == (1, number)
    assert {kind: found["questions"] for kind, found in scores["by_type"].items()} == types


def test_no_source_is_needed_to_import_rsvqa(field: Path, tmp_path: Path) -> None:
    data = tmp_path / "imported.json"
    assert rsvlm("data", "import", *(field / name for name in RSVQA), "--out", data) == 0
    assert scores_of(data, field / RSVQA[1], tmp_path / "out")["vqa"]["unnamed"]["accuracy"] == 1
    assert list(read_json(tmp_path / "imported.manifest.json")["dropped"].values()) == [1]


def test_captions_of_coco_are_imported_and_its_results_scored(field: Path, tmp_path: Path) -> None:
    data = tmp_path / "imported.json"
    assert rsvlm("data", "import", field / "coco_annotations.json", "--out", data) == 0
    found = scores_of(data, field / "coco_results.json", tmp_path / "out")["captioning"]["unnamed"]
    assert (found["images"], found["BLEU-1"], found["CIDEr"]) == (1, pytest.approx(1), None)


def predict(data: Path, folder: Path, out: Path) -> int:
    """Answer by echo, without a model, about the one image that some of the files name."""
    echo, image = folder / "echo", folder / "LR" / "Train" / "1.tif"
    for path, content in ((echo / "config.json", b"{}"), (image, encoded("TIFF"))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return rsvlm("predict", "--model", echo, "--engine", "echo", "--data", data, "--images", folder, "--out", out)


@pytest.mark.parametrize(
    ("name", "reason", "kept"),
    [
        ("text_only", "no image: text alone", 1),
        ("two_images", "several images", 0),
        ("system_turn", "turn of a role other than human and gpt", 0),
    ],
)
def test_the_advice_of_the_message_drops_and_counts_unusable_records(
    field: Path, tmp_path: Path, name: str, reason: str, kept: int, capsys: pytest.CaptureFixture[str]
) -> None:
    advice = "rsvlm data filter --sources all"
    assert predict(field / f"{name}.json", tmp_path, tmp_path / "out") == 2
    # without a usable record in the file, that would leave nothing to ask
    assert (f"`{advice}`" in capsys.readouterr().err) == bool(kept)
    assert rsvlm("data", "split", field / f"{name}.json", tmp_path / "sets") == 2
    assert f"`{advice}`" in capsys.readouterr().err
    assert rsvlm(*advice.split()[1:], field / f"{name}.json", tmp_path / "a.json") == 0
    manifest = read_json(tmp_path / "a.manifest.json")
    assert manifest["records"] == kept and manifest["dropped"] == {reason: 1}
    assert not kept or predict(tmp_path / "a.json", tmp_path, tmp_path / "kept") == 0


def test_records_of_text_alone_are_trained_where_asked(field: Path, tmp_path: Path) -> None:
    from deployments.configuration import load_config
    from tasks.data.preparing import choose_records

    settings = ["data.sources=[LR]", "data.near_duplicates=ignore"]
    for policy, records in (("train", 2), ("drop", 1)):
        config = load_config("real-cpu", [*settings, f"data.text_only={policy}"]).data
        chosen = choose_records(field / "text_only.json", tmp_path, config)
        assert len(chosen.checked.records) + len(chosen.texts) == records


def test_an_absolute_path_is_used_where_its_folder_is_named(
    field: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = field / "absolute_path.json"
    assert rsvlm("data", "split", raw, tmp_path / "sets") == 2
    assert "--set data.image_root.SOURCE=FOLDER" in capsys.readouterr().err
    options = ("--sources", "LR", "--set", "data.image_root.LR=/data/LR")
    assert rsvlm("data", "filter", raw, tmp_path / "a.json", *options) == 0
    assert [record["image"] for record in read_json(tmp_path / "a.json")] == ["LR/Train/1.tif"]


@pytest.mark.parametrize(
    "name", ["llamafactory_messages.json", "geochat_questions.jsonl", "llamafactory_sharegpt.json"]
)
def test_a_command_that_needs_records_names_the_import(
    field: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsvlm("data", "split", field / name, tmp_path / "sets") == 2
    said = capsys.readouterr().err
    assert "`rsvlm data import`" in said and "damaged" not in said
    assert rsvlm("data", "import", field / name, "--out", tmp_path / "a.json") == 0


@pytest.mark.parametrize("name", ["geochat_answers.jsonl", "llava_answers.jsonl", "coco_results.json"])
def test_answers_are_no_data_set(field: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("data", "import", field / name, "--out", tmp_path / "a.json") == 2
    assert "`rsvlm evaluate --predictions`" in capsys.readouterr().err
    assert not (tmp_path / "a.json").exists()
