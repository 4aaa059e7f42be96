"""Values are read one at a time from a JSON list or from JSON Lines."""

import json
import tracemalloc
from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.json_stream import is_object, iterate_members, iterate_values

ROWS = [{"id": 1, "text": "a"}, {"id": 2, "text": "U+2028 \u2028 and {"}, {"id": 3, "deep": [{"a": [1]}]}]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]

LAYOUTS = {
    "lines": "\n".join(LINES) + "\n",
    "no last line break": "\n".join(LINES),
    "blank lines": "\n\n" + "\n\n".join(LINES) + "\n \n",
    "line breaks of Windows": "\r\n".join(LINES) + "\r\n",
    "a byte order mark": "\ufeff" + "\n".join(LINES),
    "blanks around": "\n".join(f"  {line}\t" for line in LINES),
}


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".txt"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_lines_are_recognised_by_content(tmp_path: Path, layout: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(LAYOUTS[layout].encode())
    found = list(iterate_values(path))
    assert [listed.value for listed in found] == ROWS
    assert [json.loads(listed.text) for listed in found] == ROWS
    assert found[0].location("record 0") == f"line {found[0].line}" and found[-1].line >= 3


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_list_is_recognised_whatever_its_suffix(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS, indent=indent))
    found = list(iterate_values(path))
    assert [listed.value for listed in found] == ROWS and found[0].location("record 0") == "record 0"


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".JSONL"])
def test_a_single_object_is_json_lines_with_a_lines_suffix(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text(LINES[0])
    assert [listed.value for listed in iterate_values(tmp_path / f"a{suffix}")] == ROWS[:1]


@pytest.mark.parametrize("text", [LINES[0], json.dumps({"questions": ROWS}), json.dumps({"questions": ROWS}, indent=1)])
def test_a_single_object_with_another_suffix_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json has no list of records: give .* JSON Lines .*`rsvlm data import`"):
        list(iterate_values(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"id": 2, "te', "line 3 is not valid JSON"),
        (b'{"id": NaN}', "line 3 is not valid JSON"),
        (b'{"id": 1} {"id": 2}', "line 3 is not valid JSON"),
        (b"[" * 100_000, "line 3 is not valid JSON"),
        (b"one", "line 3 is not valid JSON"),
        (b'{"id": "\xff"}', "line 3 is not in UTF-8"),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_iterate_values_names_a_damaged_line(tmp_path: Path, line: bytes, said: str, last: bool) -> None:
    lines = [LINES[0].encode(), b"", line, *([] if last else [LINES[2].encode()])]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=rf"a\.jsonl, {said}"):
        list(iterate_values(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        ",\n".join(LINES),
        "\n".join(f"[{line}]" for line in LINES),
        "".join(LINES),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_iterate_values_does_not_call_several_values_damaged(tmp_path: Path, text: str, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text(text)
    with pytest.raises(DataError, match="holds several JSON values that are neither one list nor one record per line"):
        list(iterate_values(tmp_path / f"a{suffix}"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": "\u00e9"}]'.encode("latin-1"), "is not in UTF-8"),
        ('[{"a": "\u00e9"}]'.encode("utf-16"), "is not in UTF-8"),
        ('[{"a": "\u00e9'.encode()[:-1], "cut off or damaged"),
    ],
)
def test_iterate_values_does_not_call_a_list_in_another_encoding_damaged(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(iterate_values(tmp_path / "a.json"))


def test_iterate_values_has_one_line_in_memory(tmp_path: Path) -> None:
    line = json.dumps({"id": 1, "text": "x" * 1000}) + "\n"
    with (tmp_path / "a.jsonl").open("w") as file:
        for _ in range(20_000):
            file.write(line)
    tracemalloc.start()
    try:
        assert sum(1 for _ in iterate_values(tmp_path / "a.jsonl")) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "value", [{}, {"a": 1}, {"a": [], "b": [[]]}, {"info": {"x": [1]}, "rows": ROWS, "last": [1, "]", "}"], "z": None}]
)
def test_members_of_an_object_come_one_value_at_a_time(tmp_path: Path, value: dict, indent: int | None) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value, indent=indent))
    assert is_object(path)
    whole = [
        (name, each, in_list)
        for name, member in value.items()
        for each, in_list in ([(each, True) for each in member] if isinstance(member, list) else [(member, False)])
    ]
    assert [tuple(member) for member in iterate_members(path)] == whole


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_object_that_is_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    content = json.dumps({"rows": ROWS, "name": "b"})
    (tmp_path / "a.json").write_text(content[:-cut])
    with pytest.raises(DataError):
        list(iterate_members(tmp_path / "a.json"))


@pytest.mark.parametrize(
    "text", ['{"a": 1} {"b": 2}', '{"a": 1,}', '{"a": [1,]}', '{"a": [1 2]}', '{"a" 1}', "{1: 2}", "[1]"]
)
def test_what_is_not_one_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError):
        list(iterate_members(tmp_path / "a.json"))


def test_lists_and_json_lines_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "b.json").write_text("\n".join(LINES))
    assert not any(is_object(tmp_path / name) for name in ("a.json", "b.json", "c.json"))
