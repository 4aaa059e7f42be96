import json
from hashlib import sha256
from pathlib import Path

import pytest

from tasks.data.records_file import RecordsFile, encoded, read_records
from tasks.errors import DataError

TURNS = [{"from": "human", "value": "<image>\nHow many?"}, {"from": "gpt", "value": "2"}]
RECORD = {"image": "LR/Train/1.tif", "id": "LR_1", "extra": {"b": 1, "a": [1.5, None]}, "conversations": TURNS}


def written(path: Path, value) -> Path:
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_records_keep_their_keys_values_and_order(tmp_path):
    content = encoded([RECORD, {**RECORD, "id": "LR_2"}])
    (tmp_path / "a.json").write_bytes(content)
    records = read_records(tmp_path / "a.json")
    assert records == [RECORD, {**RECORD, "id": "LR_2"}]
    assert [list(record) for record in records] == [list(RECORD)] * 2


def test_texts_of_any_kind_survive(tmp_path):
    text = 'U+2028 \u2028, half a pair \ud83d, "quotes" and \x00'
    content = encoded([{**RECORD, "extra": text}])
    (tmp_path / "a.json").write_bytes(content)
    assert read_records(tmp_path / "a.json")[0]["extra"] == text


def test_a_cut_off_file_is_refused(tmp_path):
    (tmp_path / "a.json").write_bytes(encoded([RECORD])[:-30])
    with pytest.raises(DataError, match="cut off or damaged"):
        read_records(tmp_path / "a.json")


def test_a_file_that_is_no_list_is_refused(tmp_path):
    with pytest.raises(DataError, match="no list of records"):
        read_records(written(tmp_path / "a.json", {"records": []}))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"image": None}, "has no image"),
        ({"image": ""}, "has no image"),
        ({"id": ""}, "has no id"),
        ({"conversations": []}, "has no conversations; "),
        ({"conversations": "[]"}, "has conversations that are no list of turns"),
        ({"conversations": [{"from": "system", "value": "x"}]}, "has a turn from 'system'"),
        ({"image": ["LR/1.tif", "LR/2.tif"]}, "has 2 images"),
        ({"conversations": [{"from": "human"}]}, "has a turn"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, change, fault):
    wrong = {**RECORD, **change}
    with pytest.raises(DataError, match=rf"record 1 \(id '{wrong['id']}'\) {fault}"):
        read_records(written(tmp_path / "a.json", [RECORD, wrong]))


@pytest.mark.parametrize("name", [1.5, True, ["a"], {"$oid": "a"}])
def test_an_id_that_is_no_text_and_no_whole_number_is_named(tmp_path, name):
    with pytest.raises(DataError, match=r"record 0 \(id .+\) has an id that is neither a text nor a whole number;"):
        read_records(written(tmp_path / "a.json", [{**RECORD, "id": name}]))


def test_a_file_of_another_tool_is_to_be_written_anew(tmp_path):
    other = written(tmp_path / "a.json", [{"question_id": 1, "text": "Is there a road?"}])
    with pytest.raises(DataError, match="has no id, but 'question_id, text'; write the file anew with id, image and "):
        read_records(other)


def test_a_record_without_the_key_image_is_named(tmp_path):
    wrong = {"id": "LR_7", "conversations": TURNS}
    with pytest.raises(DataError, match=r"record 0 \(id 'LR_7'\) has no image"):
        read_records(written(tmp_path / "a.json", [wrong]))


def test_the_manifest_says_what_the_file_holds(tmp_path):
    RecordsFile(tmp_path / "a.json", {"raw.json": "0"}, {"seed": 1}).write([RECORD], {"for a reason": 3})
    assert json.loads((tmp_path / "a.manifest.json").read_bytes()) == {
        "version": 1,
        "sha256": sha256((tmp_path / "a.json").read_bytes()).hexdigest(),
        "records": 1,
        "kept": {"LR": 1},
        "tasks": {"LR": {"captioning": 0, "vqa": 1, "guessed": 0}},
        "dropped": {"for a reason": 3},
        "inputs": {"raw.json": "0"},
        "parameters": {"seed": 1},
    }


def test_other_content_is_never_overwritten(tmp_path):
    written(tmp_path / "a.json", ["mine"])
    with pytest.raises(DataError, match="holds something else"):
        RecordsFile(tmp_path / "a.json", {}, {}).write([RECORD], {})
    assert json.loads((tmp_path / "a.json").read_bytes()) == ["mine"]
    assert not (tmp_path / "a.manifest.json").exists()


@pytest.mark.parametrize("content", ['{"mine": 1}', "[]", "no JSON"])
def test_what_stands_at_the_manifests_place_is_never_overwritten(tmp_path, content):
    (tmp_path / "a.manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.manifest\.json exists and is no manifest"):
        RecordsFile(tmp_path / "a.json", {}, {}).write([], {})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.manifest.json", content)]


def test_a_file_without_its_manifest_is_finished(tmp_path):
    (tmp_path / "a.json").write_bytes(encoded([RECORD]))
    file = RecordsFile(tmp_path / "a.json", {}, {})
    assert file.made_before() is None
    file.write([RECORD], {})
    assert file.made_before()
