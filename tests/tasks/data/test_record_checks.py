import pytest

from tasks.data.record_checks import check_records


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
    "answer empty": (record("<image>\nWhat?", "a beach", "And?", "  "), ["<image>\nWhat?", "a beach"]),
}


def test_a_good_record_stays_as_it_is():
    checked = check_records([GOOD], "repair")
    assert checked.records[0] is GOOD
    assert (checked.dropped, checked.repaired, checked.noticed) == ({}, {}, {})


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_repaired_and_counted(fault):
    faulty, mended = FAULTS[fault]
    checked = check_records([faulty], "repair")
    assert [turn["value"] for turn in checked.records[0]["conversations"]] == mended
    assert checked.repaired == {fault: 1} and checked.dropped == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_drops_the_record_where_asked(fault):
    checked = check_records([FAULTS[fault][0], GOOD], "drop")
    assert checked.records == [GOOD]
    assert checked.dropped == {fault: 1} and checked.repaired == {}


@pytest.mark.parametrize("bad", [record("<image>\nWhat?", ""), record("an answer", roles=["gpt"])])
def test_a_record_with_nothing_left_to_learn_is_dropped(bad):
    checked = check_records([bad, GOOD], "repair")
    assert checked.records == [GOOD]
    assert checked.dropped == {"no answer to learn from": 1}


def test_a_record_of_other_roles_alone_is_dropped_for_these():
    bad = record("<image>\nWhat?", "a beach", roles=["human", "assistant"])
    assert check_records([bad, GOOD], "drop").dropped == {"turn of another role than human and gpt": 1}
    bad = record("What?", "a beach", roles=["user", "assistant"])
    assert check_records([bad, GOOD], "repair").dropped == {"turn of another role than human and gpt": 1}


def test_the_mark_goes_to_the_first_question_that_is_left():
    checked = check_records([record("<image>\nWhat?", " ", "And?", "a sea")], "repair")
    assert [turn["value"] for turn in checked.records[0]["conversations"]] == ["<image>\nAnd?", "a sea"]
    assert checked.repaired == {"answer empty": 1, "<image> missing": 1}


def test_a_mark_behind_the_question_is_in_its_place():
    assert check_records([record("What?\n<image>", "a beach")], "repair").repaired == {}


def test_the_same_record_again_is_dropped():
    checked = check_records([GOOD, dict(GOOD)], "repair")
    assert checked.records == [GOOD] and checked.dropped == {"record stands twice": 1}


def test_other_records_of_one_id_get_ids_of_their_own():
    records = [record("<image>\nA?", "a"), record("<image>\nB?", "b"), record("<image>\nC?", "c", name="1-2")]
    checked = check_records(records, "repair")
    assert [one["id"] for one in checked.records] == ["1", "1-3", "1-2"]
    assert checked.repaired == {"id stands on several records": 1}
    assert [one["id"] for one in check_records(records, "drop").records] == ["1", "1-2"]


def test_an_image_under_several_ids_is_noticed():
    records = [record("<image>\nA?", "a"), record("<image>\nB?", "b", name="2", image="RSICD//images/a.jpg")]
    assert check_records(records, "repair").noticed == {"image under several ids": 1}
