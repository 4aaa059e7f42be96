import pytest

from tasks.data.record_checks import check_records, filter_records, require_sources
from tasks.errors import DataError


def record(*texts: str, name="1", roles=None, image="RSICD/images/a.jpg") -> dict:
    roles = roles or ["human", "gpt"] * len(texts)
    turns = [{"from": role, "value": text} for role, text in zip(roles, texts, strict=False)]
    return {"id": name, "image": image, "conversations": turns}


GOOD = record("<image>\nWhat?", "a beach", "And?", "a sea")

FAULTS = {
    "<image> missing": (record("What?", "a beach"), ["<image>\nWhat?", "a beach"]),
    "<image> more than once": (
        record("<image>\nWhat <image>?", "a beach", "<image>\nAnd?", "a sea"),
        ["<image>\nWhat ?", "a beach", "And?", "a sea"],
    ),
    "<image> not at the start of the first human turn": (
        record("What?", "a beach", "<image>\nAnd?", "a sea"),
        ["<image>\nWhat?", "a beach", "And?", "a sea"],
    ),
    "turns not in the order human, gpt": (
        record("an answer", "<image>\nWhat?", "a beach", roles=["gpt", "human", "gpt"]),
        ["<image>\nWhat?", "a beach"],
    ),
    "empty answer": (record("<image>\nWhat?", "a beach", "And?", "  "), ["<image>\nWhat?", "a beach"]),
}


def test_valid_record_is_kept_unchanged():
    checked = check_records([GOOD], "repair")
    assert checked.records[0] is GOOD
    assert (checked.dropped, checked.repaired, checked.noticed) == ({}, {}, {})


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_repaired_and_counted(fault):
    faulty, repaired = FAULTS[fault]
    checked = check_records([faulty], "repair")
    assert [turn["value"] for turn in checked.records[0]["conversations"]] == repaired
    assert checked.repaired == {fault: 1} and checked.dropped == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_policy_drop_drops_a_record_with_a_fault(fault):
    checked = check_records([FAULTS[fault][0], GOOD], "drop")
    assert checked.records == [GOOD]
    assert checked.dropped == {fault: 1} and checked.repaired == {}


@pytest.mark.parametrize("bad", [record("<image>\nWhat?", ""), record("an answer", roles=["gpt"])])
def test_record_without_any_answer_is_dropped(bad):
    checked = check_records([bad, GOOD], "repair")
    assert checked.records == [GOOD]
    assert checked.dropped == {"no answer to learn from": 1}


def test_record_whose_answer_has_another_role_is_dropped_for_the_role():
    bad = record("<image>\nWhat?", "a beach", roles=["human", "assistant"])
    assert check_records([bad, GOOD], "drop").dropped == {"turn of a role other than human and gpt": 1}
    bad = record("What?", "a beach", roles=["user", "assistant"])
    assert check_records([bad, GOOD], "repair").dropped == {"turn of a role other than human and gpt": 1}


def test_placeholder_moves_to_the_first_remaining_question():
    checked = check_records([record("<image>\nWhat?", " ", "And?", "a sea")], "repair")
    assert [turn["value"] for turn in checked.records[0]["conversations"]] == ["<image>\nAnd?", "a sea"]
    assert checked.repaired == {"empty answer": 1, "<image> missing": 1}


def test_placeholder_that_is_added_leaves_the_question_as_it_is():
    checked = check_records([record("  Any ships? ", "yes")], "repair")
    assert checked.records[0]["conversations"][0]["value"] == "<image>\n  Any ships? "


def test_placeholder_after_the_question_is_valid():
    assert check_records([record("What?\n<image>", "a beach")], "repair").repaired == {}


def test_duplicate_record_is_dropped():
    checked = check_records([GOOD, dict(GOOD)], "repair")
    assert checked.records == [GOOD] and checked.dropped == {"duplicate record": 1}


def test_records_with_a_taken_id_get_a_new_one():
    records = [record("<image>\nA?", "a"), record("<image>\nB?", "b"), record("<image>\nC?", "c", name="1-2")]
    checked = check_records(records, "repair")
    assert [one["id"] for one in checked.records] == ["1", "1-3", "1-2"]
    assert [one.get("original_id") for one in checked.records] == [None, "1", None]
    assert checked.repaired == {"id used by another record": 1}
    assert [one["id"] for one in check_records(records, "drop").records] == ["1", "1-2"]


def test_image_under_several_ids_is_counted():
    records = [record("<image>\nA?", "a"), record("<image>\nB?", "b", name="2", image="RSICD//images/a.jpg")]
    assert check_records(records, "repair").noticed == {"image under several ids": 1}


def answered(image: str, answer: str = "yes") -> dict:
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": answer}]
    return {"id": image, "image": image, "conversations": turns}


def test_filter_counts_every_dropped_record_by_reason():
    records = [
        answered("NWPU/a.jpg"),
        answered("UCM/a.jpg"),
        answered("UCM/b.jpg"),
        answered("LR/../../secret.tif"),
        answered("/etc/passwd"),
        answered("LR/1.tif", answer="  "),
        answered("LR/2.tif"),
    ]
    filtered = filter_records(records, ("NWPU", "LR"), {"LR/2.tif": "image file missing"})
    assert filtered.records == records[:1]
    assert filtered.dropped == {
        "source UCM not selected": 2,
        "image path leaves the images folder": 1,
        "image path is absolute": 1,
        "no answer to learn from": 1,
        "image file missing": 1,
    }


def test_filter_counts_the_role_when_the_answer_has_another_role():
    turns = [{"from": "user", "value": "<image>\nRoad?"}, {"from": "assistant", "value": "yes"}]
    filtered = filter_records([{**answered("LR/1.tif"), "conversations": turns}], ("LR",))
    assert filtered.dropped == {"turn of a role other than human and gpt": 1}


def test_path_with_dots_inside_the_folder_is_kept():
    records = [answered("NWPU/x/../a.jpg")]
    assert filter_records(records, ("NWPU",)).records == records


def test_source_without_records_left_is_refused():
    with pytest.raises(DataError, match=r"No record of LR is left \(image file missing: 4\)"):
        require_sources([answered("NWPU/a.jpg")], ("NWPU", "LR"), {"image file missing": 4})
