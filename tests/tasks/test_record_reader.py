import pytest
from support.files import written
from support.llava_records import RECORD, TURNS

from tasks.data.records_file import encoded
from tasks.errors import DataError
from tasks.record_reader import read_records


def test_records_keep_their_keys_values_and_order(tmp_path):
    content = encoded([RECORD, {**RECORD, "id": "LR_2"}])
    (tmp_path / "a.json").write_bytes(content)
    records = read_records(tmp_path / "a.json")
    assert records == [RECORD, {**RECORD, "id": "LR_2"}]
    assert [list(record) for record in records] == [list(RECORD)] * 2


def test_texts_keep_every_character(tmp_path):
    text = 'U+2028 \u2028, half a pair \ud83d, "quotes" and \x00'
    content = encoded([{**RECORD, "extra": text}])
    (tmp_path / "a.json").write_bytes(content)
    assert read_records(tmp_path / "a.json")[0]["extra"] == text


def test_cut_off_file_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(encoded([RECORD])[:-30])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_records(tmp_path / "a.json")


def test_file_without_a_list_is_refused(tmp_path):
    with pytest.raises(DataError, match="no list of records"):
        read_records(written(tmp_path / "a.json", {"records": []}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": None}, "has no image"),
        ({"image": ""}, "has no image"),
        ({"id": ""}, "has no id"),
        ({"conversations": []}, "has no conversations; "),
        ({"conversations": "[]"}, "has conversations that are not a list of turns"),
        ({"conversations": [{"from": "system", "value": "x"}]}, "has a turn from 'system'"),
        ({"image": ["LR/1.tif", "LR/2.tif"]}, "has 2 images"),
        ({"conversations": [{"from": "human"}]}, "has a turn"),
    ],
)
def test_error_names_the_faulty_record(tmp_path, change, fault):
    wrong = {**RECORD, **change}
    with pytest.raises(DataError, match=rf"record 2 \(id '{wrong['id']}'\) {fault}"):
        read_records(written(tmp_path / "a.json", [RECORD, wrong]))


def test_a_number_as_an_answer_is_to_be_written_as_text(tmp_path):
    wrong = {**RECORD, "conversations": [TURNS[0], {"from": "gpt", "value": 3}]}
    with pytest.raises(DataError, match=r"has a turn that is not .*; import the file with `rsvlm data import`, or "):
        read_records(written(tmp_path / "a.json", [wrong]))


@pytest.mark.parametrize("name", [1.5, True, ["a"], {"$oid": "a"}])
def test_id_that_is_neither_a_text_nor_a_whole_number_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"record 1 \(id .+\) has an id that is neither a text nor a whole number;"):
        read_records(written(tmp_path / "a.json", [{**RECORD, "id": name}]))


def test_error_advises_to_import_a_file_of_another_tool(tmp_path):
    other = written(tmp_path / "a.json", [{"question_id": 1, "text": "Is there a road?"}])
    with pytest.raises(DataError, match="has no id, but 'question_id, text'; import the file with `rsvlm data import`"):
        read_records(other)


def test_error_names_a_record_without_the_key_image(tmp_path):
    wrong = {"id": "LR_7", "conversations": TURNS}
    with pytest.raises(DataError, match=r"record 1 \(id 'LR_7'\) has no image"):
        read_records(written(tmp_path / "a.json", [wrong]))
