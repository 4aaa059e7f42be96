import json
from pathlib import Path

import pytest

from tasks.data.record_slices import RecordSlice, read_slices
from tasks.data.records_file import encoded, iterate_records, joined, read_records
from tasks.errors import DataError

RECORDS = [
    {
        "id": number,
        "image": f"RSICD/images/{number}.jpg",
        "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": text}],
    }
    for number, text in enumerate(('a "quoted" sea', "ein Fluß \u2028 and a line", "\U0001f6a2 ship, \\ and ]", ""))
]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}])
def test_each_record_comes_with_its_bytes_on_one_line(tmp_path, layout):
    path = written(tmp_path / "a.json", json.dumps(RECORDS, **layout))
    found = [(record, RecordSlice(record, text).content) for record, text in iterate_records(path)]
    assert [record for record, _ in found] == RECORDS == [json.loads(content) for _, content in found]
    assert not any(b"\n" in content for _, content in found)


def test_slices_know_their_image_and_make_the_same_file(tmp_path):
    path = written(tmp_path / "a.json", json.dumps(RECORDS, ensure_ascii=False))
    slices = read_slices(path)
    assert [one["image"] for one in slices] == [record["image"] for record in RECORDS]
    assert joined(one.content for one in slices) == encoded(RECORDS)


def test_half_a_surrogate_pair_survives(tmp_path):
    path = written(tmp_path / "a.json", json.dumps([{**RECORDS[0], "note": "\ud800"}], indent=1))
    assert json.loads(read_slices(path)[0].content)["note"] == "\ud800"


@pytest.mark.parametrize("text", ["[]", " [ ] \n", "\ufeff[]"])
def test_a_file_may_hold_no_record(tmp_path, text):
    assert read_slices(written(tmp_path / "a.json", text)) == []


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
def test_what_the_whole_reader_refuses_is_refused_in_the_same_words(tmp_path, text):
    path = written(tmp_path / "a.json", text)
    with pytest.raises(DataError) as refusal:
        read_records(path)
    with pytest.raises(DataError) as again:
        read_slices(path)
    assert str(again.value) == str(refusal.value)
