import pytest

from tasks.data.filtering import filter_records, require_sources
from tasks.errors import DataError


def record(image: str, answer: str = "yes") -> dict:
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": answer}]
    return {"id": image, "image": image, "conversations": turns}


def test_every_loss_is_counted_with_its_reason():
    records = [
        record("NWPU/a.jpg"),
        record("UCM/a.jpg"),
        record("UCM/b.jpg"),
        record("LR/../../secret.tif"),
        record("/etc/passwd"),
        record("LR/1.tif", answer="  "),
        record("LR/2.tif"),
    ]
    filtered = filter_records(records, ("NWPU", "LR"), {"LR/2.tif": "image file missing"})
    assert filtered.records == records[:1]
    assert filtered.dropped == {
        "source UCM not selected": 2,
        "image path leaves the image folder": 2,
        "no answer to learn from": 1,
        "image file missing": 1,
    }


def test_answers_of_a_role_of_another_name_are_not_called_missing():
    turns = [{"from": "user", "value": "<image>\nRoad?"}, {"from": "assistant", "value": "yes"}]
    filtered = filter_records([{**record("LR/1.tif"), "conversations": turns}], ("LR",))
    assert filtered.dropped == {"turn of another role than human and gpt": 1}


def test_a_path_that_wanders_inside_the_folder_stays():
    records = [record("NWPU/x/../a.jpg")]
    assert filter_records(records, ("NWPU",)).records == records


def test_a_source_without_any_record_left_is_an_error():
    with pytest.raises(DataError, match=r"No record of LR is left \(image file missing: 4\)"):
        require_sources([record("NWPU/a.jpg")], ("NWPU", "LR"), {"image file missing": 4})
