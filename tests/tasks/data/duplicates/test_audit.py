import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.data.duplicates.audit import audit_file
from tasks.errors import DataError


def record(number: int, image: str, *texts: str) -> dict:
    turns = [{"from": ("human", "gpt")[position % 2], "value": text} for position, text in enumerate(texts)]
    return {"id": str(number), "image": image, "conversations": turns}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Training and test set: one image in both under two names, one copy, two clean images."""
    for number in range(5):
        values = np.random.default_rng(number).integers(0, 220, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(values).resize((80, 80), Image.Resampling.BICUBIC)
        for name in (f"RSICD/images/{number}.jpg", f"NWPU/NWPU_images/a/{number}.jpg"):
            path = tmp_path / "imagenes" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (image if name.startswith("R") else image.resize((60, 60))).save(path, quality=80)
    caption, question = "<image>\nDescribe the image.", "<image>\nIs there a ship?"
    train = [
        record(0, "RSICD/images/0.jpg", caption, "A beach with sand."),
        record(1, "RSICD/images/1.jpg", caption, "a road"),
        record(2, "LR/Train/none.tif", question, "yes"),
    ]
    test = [
        record(3, "NWPU/NWPU_images/a/0.jpg", caption, "a beach with sand"),
        record(4, "RSICD//images/1.jpg", caption, "a street"),
        record(5, "RSICD/images/3.jpg", caption, "a sea"),
        record(6, "NWPU/NWPU_images/a/4.jpg", caption, "a road"),
        record(7, "LR/Train/other.tif", question, "yes"),
        record(8, "LR/Train/other.tif", question, "no"),
    ]
    for name, records in (("train", train), ("test", test)):
        path = tmp_path / "sets" / f"data_{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(records))
    (tmp_path / "dataset.json").write_text(json.dumps(train + test))
    return tmp_path


def audit(folder: Path, sets: bool = True):
    sets_folder = folder / "sets" if sets else None
    return audit_file(folder / "dataset.json", folder / "imagenes", folder / "out", sets_folder)


def test_copies_across_sets_and_sources_are_reported(folder):
    found = audit(folder).findings
    pairs = {(pair["first"], pair["second"]) for pair in found["pairs"]}
    assert pairs == {("RSICD/images/0.jpg", "NWPU/NWPU_images/a/0.jpg")}
    assert found["pairs_across_sets"] == found["pairs_across_sources"] == 1


def test_report_lists_the_clean_test_images(folder):
    test = audit(folder).findings["test_images"]
    assert test["leaking"] == ["NWPU/NWPU_images/a/0.jpg", "RSICD/images/1.jpg"]
    assert (test["images"], test["clean"]) == (5, 3)
    assert test["by_source"]["NWPU"] == {"images": 2, "clean": 1}


def test_texts_repeated_in_training_are_counted_by_source(folder):
    found = audit(folder).findings
    assert found["captions"]["NWPU"] == {"number": 2, "in_training": 2, "share": 1.0}
    assert found["captions"]["RSICD"] == {"number": 2, "in_training": 0, "share": 0.0}
    assert found["question_answer_pairs"]["LR"] == {"number": 2, "in_training": 1, "share": 0.5}


def test_clean_part_is_written_as_a_test_set(folder):
    clean = json.loads(audit(folder).clean_test.read_text())
    assert [one["id"] for one in clean] == ["5", "6", "7", "8"]
    manifest = json.loads((folder / "out" / "clean_test.manifest.json").read_text())
    assert manifest["dropped"] == {"image is a near-duplicate of a training image": 2}


def test_audit_without_sets_compares_images_only(folder):
    audited = audit(folder, sets=False)
    assert audited.clean_test is None and "captions" not in audited.findings
    assert len(audited.findings["pairs"]) == 1


def test_page_shows_the_pairs(folder):
    page = audit(folder).page.read_text()
    assert page.count("data:image/jpeg") == 2 and "3 of 5 test images are clean" in page


def test_repeated_audit_gives_the_same_report(folder):
    first = audit(folder).report.read_bytes()
    assert audit(folder).report.read_bytes() == first


def test_user_folder_is_not_written_to(folder):
    (folder / "out").mkdir()
    (folder / "out" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="is not an audit"):
        audit(folder)
    assert [path.name for path in (folder / "out").iterdir()] == ["notes.txt"]


def test_folder_without_sets_is_named(folder):
    (folder / "sets" / "data_test.json").unlink()
    with pytest.raises(DataError, match=r"lacks data_train\.json or data_test\.json"):
        audit(folder)
