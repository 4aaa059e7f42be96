import json
from hashlib import sha256
from pathlib import Path

import pytest
from support.files import written
from support.llava_records import RECORD

from tasks.data.records_file import (
    RecordsFile,
    encoded,
    joined,
    read_slices,
    slice_of,
)
from tasks.errors import DataError
from tasks.record_reader import iterate_records, read_records


def test_manifest_counts_records_and_names_inputs(tmp_path):
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
    with pytest.raises(DataError, match="exists with other content"):
        RecordsFile(tmp_path / "a.json", {}, {}).write([RECORD], {})
    assert json.loads((tmp_path / "a.json").read_bytes()) == ["mine"]
    assert not (tmp_path / "a.manifest.json").exists()


@pytest.mark.parametrize("content", ['{"mine": 1}', "[]", "no JSON"])
def test_other_file_at_the_manifest_path_is_never_overwritten(tmp_path, content):
    (tmp_path / "a.manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"a\.manifest\.json exists and is not a manifest"):
        RecordsFile(tmp_path / "a.json", {}, {}).write([], {})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.manifest.json", content)]


def test_file_without_its_manifest_gets_one(tmp_path):
    (tmp_path / "a.json").write_bytes(encoded([RECORD]))
    file = RecordsFile(tmp_path / "a.json", {}, {})
    assert file.up_to_date_manifest() is None
    file.write([RECORD], {})
    assert file.up_to_date_manifest()


RECORDS = [
    {
        "id": number,
        "image": f"RSICD/images/{number}.jpg",
        "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": text}],
    }
    for number, text in enumerate(('a "quoted" sea', "ein Fluß \u2028 and a line", "\U0001f6a2 ship, \\ and ]", ""))
]


def text_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_slice_holds_the_text_of_its_record_on_one_line(tmp_path, layout):
    path = text_file(tmp_path / "a.json", json.dumps(RECORDS, **layout))
    found = [(record, slice_of(record, text)["content"]) for record, text in iterate_records(path)]
    assert [record for record, _ in found] == RECORDS == [json.loads(content) for _, content in found]
    assert not any(b"\n" in content for _, content in found)


def test_joined_slices_give_the_same_file_as_encoded_records(tmp_path):
    path = text_file(tmp_path / "a.json", json.dumps(RECORDS, ensure_ascii=False))
    slices = read_slices(path)
    assert [one["image"] for one in slices] == [record["image"] for record in RECORDS]
    assert joined(one["content"] for one in slices) == encoded(RECORDS)


def test_slice_keeps_a_lone_surrogate(tmp_path):
    path = text_file(tmp_path / "a.json", json.dumps([{**RECORDS[0], "note": "\ud800"}], indent=1))
    assert json.loads(read_slices(path)[0]["content"])["note"] == "\ud800"


@pytest.mark.parametrize("text", ["[]", " [ ] \n", "\ufeff[]"])
def test_file_may_hold_no_record(tmp_path, text):
    assert read_slices(text_file(tmp_path / "a.json", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        "7",
        "[1]",
        "[{}]",
        json.dumps(RECORDS)[:-1],
        json.dumps(RECORDS) + "x",
        json.dumps(RECORDS)[:-1] + ",]",
        json.dumps(RECORDS)[1:],
        json.dumps(RECORDS).replace('}, {"id"', '} {"id"', 1),
        json.dumps([{**RECORDS[0], "image": ""}]),
        "[" * 100_000,
    ],
)
def test_slices_are_refused_with_the_same_message_as_records(tmp_path, text):
    path = text_file(tmp_path / "a.json", text)
    with pytest.raises(DataError) as refusal:
        read_records(path)
    with pytest.raises(DataError) as again:
        read_slices(path)
    assert str(again.value) == str(refusal.value)
