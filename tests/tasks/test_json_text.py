import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from tasks.errors import DataError
from tasks.files import read_json, read_json_lines
from tasks.json_stream import iterate_values
from tasks.json_text import MAX_DIGITS, MAX_LEVELS, parse_json

REFUSED = {
    "5,000 digits": "9" * 5000,
    "5,000 digits below zero": "-" + "9" * 5000,
    "4,000 digits": "9" * 4000,
    "400 digits": "1" + 400 * "0",
    "beyond a float": "1e400",
    "beyond a float, below zero": "-1e999999",
    "a fraction of 5,000 digits": "9" * 5000 + ".5",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "endless lists": "[" * 100_000,
    "endless lists that end": "[" * 100_000 + "]" * 100_000,
    "endless objects": '{"a":' * 100_000,
    "deep lists": "[" * 500 + "]" * 500,
    "deep objects": '{"a":' * 101 + "1" + "}" * 101,
    "deep and wide": "[1," * 150 + "1" + "]" * 150,
    "a control character": '"\x01"',
    "an open text": '"abc',
    "half an escape": '"\\u12"',
    "one comma more": "[1,]",
    "two values": "1 2",
    "a comment": "1 // one",
    "other quotes": "'a'",
    "a number with 0 before": "01",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("around", ["{}", "[{}]", '[{{"id": {}}}]', '[1, {{"a": [0, {}]}}]'])
def test_parse_json_refuses_invalid_values_with_the_files_name(tmp_path: Path, value: str, around: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(around.format(value))
    with pytest.raises(DataError, match=r"a\.json is not valid JSON \([^\n]+\): it is cut off or damaged") as refused:
        read_json(path)
    assert len(str(refused.value)) < len(str(path)) + 300
    with pytest.raises(DataError, match=r"a\.json"):
        list(iterate_values(path))
    (tmp_path / "a.jsonl").write_text(f"1\n{around.format(value)}\n\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 2 is not valid JSON"):
        read_json_lines(tmp_path / "a.jsonl")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'"\xff"', b"\xff\xfe[\x00", b"\x80", b"\0\0\xfe\xff\0"])
def test_parse_json_refuses_invalid_encodings(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"a\.json"):
        list(iterate_values(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9" * MAX_DIGITS, int("9" * MAX_DIGITS)),
        ("1e308", 1e308),
        ("1e-999", 0.0),
        ('"\\ud800"', "\ud800"),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("[" * MAX_LEVELS + "]" * MAX_LEVELS, None),
        ('\ufeff{"a": 1}', {"a": 1}),
        (f'["{"x" * 1_000_000}"]', ["x" * 1_000_000]),
        ('["[[[[[[[[' + "[" * 1000 + '"]', ["[" * 1008]),
    ],
)
def test_parse_json_reads_unusual_valid_json(text: str, value: Any) -> None:
    found = parse_json(text.encode("utf-8", "surrogatepass"), "a.json")
    assert value is None or found == value


def test_parse_json_reads_nan_with_allow_nan() -> None:
    text = '{"loss": NaN, "norm": Infinity}'
    assert str(parse_json(text, "a.json", allow_nan=True)) == "{'loss': nan, 'norm': inf}"


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats(allow_nan=False,
    allow_infinity=False) | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
)  # fmt: skip


@given(JSON)
def test_parse_json_agrees_with_python_on_valid_json(value: Any) -> None:
    assert parse_json(json.dumps(value), "a.json") == value


@given(JSON, strategies.data())
def test_parse_json_agrees_with_python_on_damaged_json(value: Any, data: strategies.DataObject) -> None:
    content = bytearray(json.dumps(value).encode())
    place = data.draw(strategies.integers(0, len(content) - 1))
    content[place : place + data.draw(strategies.integers(0, 3))] = data.draw(strategies.binary(max_size=3))
    try:
        found = parse_json(bytes(content), "a.json")
    except DataError:
        return
    assert found == json.loads(bytes(content))
