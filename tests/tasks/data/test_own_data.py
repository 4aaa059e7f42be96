"""A whole prepared data set of the user's own: a source in the settings, images elsewhere, records of text alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.command_line import rsvlm

from tasks.data.duplicates.audit import audit_file
from tasks.data.image_checks import MISSING
from tasks.data.preparing import choose_records, prepare_dataset, raw_data
from tasks.data.several_images import TOO_MANY
from tasks.errors import DataError
from tasks.files import read_json
from tasks.records import DatasetRef
from tasks.settings import DataConfig

SOURCE = {
    "name": "FLOOD",
    "task": "vqa",
    "question_types": {"flooded": "flooded", "presence": "^is"},
    "references": "sentences",
}
ANSWERS = {"<image>\nIs the road flooded?": "yes", "Is there a house?": "no", "How many cars?": "2"}


def row(number: int, image: str, answers: dict[str, str], **fields: Any) -> dict[str, Any]:
    turns = [
        turn
        for question, answer in answers.items()
        for turn in ({"from": "human", "value": question}, {"from": "gpt", "value": answer})
    ]
    return {"id": number, "image": image, "conversations": turns, **fields}


def text(number: int, question: str = "What is NDVI?", answer: str = "an index") -> dict[str, Any]:
    record = row(number, "", {question: answer})
    del record["image"]
    return record


Prepare = Callable[..., DatasetRef]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Images of FLOOD outside the data folder, in subfolders."""
    for number in range(20):
        path = tmp_path / "disk" / "tiles" / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (number * 12, 0, 0)).save(path)
    return tmp_path / "disk" / "tiles"


@pytest.fixture
def rows(elsewhere: Path) -> list[dict[str, Any]]:
    """Half of the records with absolute paths."""
    names = [f"{number % 2}/{number}.png" for number in range(20)]
    return [
        row(number, f"{elsewhere}/{name}" if number < 10 else f"FLOOD/{name}", ANSWERS)
        for number, name in enumerate(names)
    ]


@pytest.fixture
def prepare(tmp_path: Path, elsewhere: Path) -> Prepare:
    """A function (records, settings...) -> the prepared sets, in tmp_path/sets."""

    def prepared(records: list[dict[str, Any]], **changes: Any) -> DatasetRef:
        root = tmp_path / "data"
        root.mkdir()
        (root / "dataset.json").write_text(json.dumps(records))
        given = {"sources": ("FLOOD",), "custom_sources": (SOURCE,), "image_root": {"FLOOD": elsewhere}, **changes}
        config = DataConfig(near_duplicates="ignore", **given)
        data = raw_data(root, config, tmp_path / "workspace" / "images")
        return prepare_dataset(data.raw, data.images, config, tmp_path / "sets")

    return prepared


def test_sets_carry_the_facts_of_their_source_and_are_scored_with_them(
    prepare: Prepare, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    dataset = prepare(rows)
    assert dataset.records == {"train": 14, "val": 2, "test": 4, "filtered_test": 4}
    assert dataset.images.parent == tmp_path / "workspace" / "images"
    test = read_json(dataset.path / "data_test.json")
    for record in test:
        assert record["task"] == "vqa" and record["image"].startswith("FLOOD/")
        assert (dataset.images / record["image"]).is_file()
        kinds = [turn.get("question_type") for turn in record["conversations"]]
        assert kinds == ["flooded", None, "presence", None, None, None]
    assert read_json(dataset.path / "data_test.manifest.json")["tasks"] == {
        "FLOOD": {"captioning": 0, "vqa": 12, "guessed": 0}
    }
    by_type = read_json(dataset.path / "statistics.json")["test"]["FLOOD"]["questions"]["by_type"]
    assert by_type == {"flooded": 4, "presence": 4, "count": 4}
    paths = [dataset.path / f"data_{name}.json" for name in ("test", "test", "train")]
    options = [word for pair in zip(("--data", "--predictions", "--train"), paths, strict=True) for word in pair]
    assert rsvlm("evaluate", *options, "--images", dataset.images, "--out", tmp_path / "report") == 0
    scores = read_json(tmp_path / "report" / "metrics.json")["vqa"]["FLOOD"]
    assert (scores["accuracy"], scores["questions"], scores["images"]) == (1, 12, 4)


def test_images_missing_elsewhere_are_dropped_and_counted(
    prepare: Prepare, rows: list[dict[str, Any]], elsewhere: Path
) -> None:
    (elsewhere / "0" / "4.png").unlink()
    dataset = prepare(rows)
    assert read_json(dataset.path / "data_train.manifest.json")["dropped"] == {MISSING: 1}
    report = read_json(dataset.path / "verification.json")
    assert [fault["image"] for fault in report["faults"]] == ["FLOOD/0/4.png"] and report["unreferenced"] == []


def test_captions_of_a_field_are_all_references_of_their_image(
    prepare: Prepare, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    asked = {"<image>\nDescribe the image.": ""}
    captions = [
        {**row(n, one["image"], asked, task="captioning"), "sentences": [f"a flood {n}", f"water {n} on a road"]}
        for n, one in enumerate(rows)
    ]
    dataset = prepare(captions)
    assert dataset.records["test"] == 8
    details = read_json(dataset.path / "MANIFEST.json")["details"]
    assert details["noticed"]["record of a further reference caption"] == 20 and details["dropped"] == {}
    test = dataset.path / "data_test.json"
    assert rsvlm("evaluate", "--data", test, "--predictions", test, "--out", tmp_path / "report") == 0
    found = read_json(tmp_path / "report" / "metrics.json")["captioning"]["FLOOD"]
    assert found["images"] == 4 and found["controls"]["leave_one_out"] is not None


def test_an_absolute_path_outside_the_folder_is_dropped_with_advice(
    prepare: Prepare, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    dataset = prepare([*rows, row(20, "/other/1.png", ANSWERS)])
    assert read_json(dataset.path / "data_train.manifest.json")["dropped"] == {"image path is absolute": 1}
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(rows[:10]))
    with pytest.raises(DataError, match=r"absolute image paths, name the folder of their source in data\.image_root"):
        config = DataConfig(sources=("FLOOD",), custom_sources=(SOURCE,))  # type: ignore[arg-type]
        prepare_dataset(tmp_path / "data" / "dataset.json", tmp_path, config, tmp_path / "other")


def test_text_alone_is_dropped_and_counted_unless_it_is_trained(prepare: Prepare, rows: list[dict[str, Any]]) -> None:
    dataset = prepare([*rows, text(20)])
    assert dataset.records["train"] == 14
    assert read_json(dataset.path / "data_train.manifest.json")["dropped"] == {"no image: text alone": 1}


def test_text_alone_is_only_in_the_training_set(prepare: Prepare, rows: list[dict[str, Any]], tmp_path: Path) -> None:
    faulty = [text(30, "<image>\nWhat?"), text(31, answer=" "), {**text(32), "image": ["a.png", "b.png"]}]
    dataset = prepare([*rows, *map(text, range(20, 26)), *faulty], text_only="train")
    assert dataset.records == {"train": 20, "val": 2, "test": 4, "filtered_test": 4}
    manifest = read_json(dataset.path / "data_train.manifest.json")
    assert manifest["kept"] == {"FLOOD": 14, "text only": 6}
    assert manifest["dropped"] == {
        "<image> in a record without an image": 1,
        "no answer to learn from": 1,
        TOO_MANY: 1,
    }
    written = read_json(dataset.path / "data_train.json")
    assert [record for record in written if "image" not in record] == [text(number) for number in range(20, 26)]
    described = {each["@id"]: each for each in read_json(dataset.path / "croissant.json")["recordSet"]}
    ids = {name: described[name]["field"][0]["source"]["extract"]["jsonPath"] for name in ("train", "test")}
    assert ids == {"train": "$[*].image.`parent`.id", "test": "$[*].id"}
    numbers = read_json(dataset.path / "statistics.json")["train"]["text only"]
    assert (numbers["images"], numbers["records"]) == (0, 6)
    audited = audit_file(dataset.path / "data_test.json", dataset.images, tmp_path / "audit", dataset.path)
    assert audited.findings["images"] == 20
    options = ("--data", dataset.path / "data_test.json", "--predictions", dataset.path / "data_test.json")
    train = ("--train", dataset.path / "data_train.json")
    assert rsvlm("evaluate", *options, *train, "--out", tmp_path / "report") == 0


def test_the_digest_depends_on_the_facts_and_not_on_the_folder(
    rows: list[dict[str, Any]], tmp_path: Path, elsewhere: Path
) -> None:
    (tmp_path / "raw.json").write_text(json.dumps(rows[10:]))

    def fingerprint(folder: Path, **source: Any) -> str:
        config = DataConfig(
            sources=("FLOOD",),
            custom_sources=({**SOURCE, **source},),
            image_root={"FLOOD": folder},  # type: ignore[arg-type]
        )
        return choose_records(tmp_path / "raw.json", tmp_path / "none", config).fingerprint

    (tmp_path / "link").symlink_to(elsewhere)
    assert fingerprint(elsewhere) == fingerprint(tmp_path / "link") == fingerprint(elsewhere, images="a.zip")
    assert fingerprint(elsewhere, task="captioning") != fingerprint(elsewhere)


def test_a_missing_folder_elsewhere_is_refused_before_anything_is_written(
    prepare: Prepare, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"data\.image_root\.FLOOD is .*none, which is not a folder"):
        prepare(rows, image_root={"FLOOD": tmp_path / "none"})
    assert not (tmp_path / "sets").exists() and not (tmp_path / "workspace").exists()


def test_filter_writes_the_facts_of_the_settings_onto_the_records(
    rows: list[dict[str, Any]], tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw.jsonl", tmp_path / "kept.json"
    raw.write_text("".join(json.dumps(record) + "\n" for record in rows))
    settings = {"data": {"sources": ["FLOOD"], "custom_sources": [SOURCE], "image_root": {"FLOOD": str(elsewhere)}}}
    (tmp_path / "mine.yaml").write_text(json.dumps(settings))
    for state in ("written", "kept: already written"):
        assert rsvlm("data", "filter", raw, out, "--config", tmp_path / "mine.yaml") == 0
        assert f"FLOOD 20 ({state}" in capsys.readouterr().out
    kept = read_json(out)
    assert {record["task"] for record in kept} == {"vqa"}
    assert [record["image"] for record in kept] == [f"FLOOD/{n % 2}/{n}.png" for n in range(20)]
    assert read_json(tmp_path / "kept.manifest.json")["parameters"]["custom_sources"][0]["name"] == "FLOOD"
    setting = f"data.image_root={{LR: {elsewhere}}}"
    assert rsvlm("data", "filter", raw, tmp_path / "other.json", "--sources", "LR", "--set", setting) == 0
    assert read_json(tmp_path / "other.manifest.json")["kept"] == {"LR": 10}
