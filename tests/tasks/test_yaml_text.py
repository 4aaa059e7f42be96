from pathlib import Path

import pytest

from flows.cli import main
from tasks.yaml_text import parse_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(9 * [f'*{old}'])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    "a number of 5,000 digits": "a: " + "9" * 5000,
    "a number of 9,000 hexadecimal digits": "a: 0x" + "f" * 9000,
    "endless minutes": "a: 1:" + "59:" * 3000 + "1",
    "endless lists": "[" * 5000,
    "deep lists": "[" * 150 + "]" * 150,
    "endless objects": "{" * 5000,
    "endless dashes": "- " * 5000,
    "a billion laughs": LAUGHS,
    "a billion laughs, merged": LAUGHS.replace("[", "{q: [").replace("]", "]}"),
    "a list in itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}",
    "no date": "a: 2001-99-99",
    "no number": "a: !!int foo",
    "no time": "a: !!timestamp x",
    "no truth": "a: !!bool x",
    "code": "a: !!python/object/apply:os.system [true]",
    "another version": "%YAML 9.9\n---\na: 1",
    "NUL": "a: \0",
    "two documents": "a: 1\n--- \nb: 1",
    "a key twice": "a: 1\na: 2",
    "a list as key": "? [a]\n: b",
    "cut off": 'a: "b',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_read_yaml_file_refuses_unsafe_values_in_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        parse_yaml(text)
    (tmp_path / "mine.yaml").write_text(text)
    assert main(["config", str(tmp_path / "mine.yaml")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path / 'mine.yaml'} is not valid YAML: ")
    assert len(said.splitlines()) == 1 and len(said) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1" + 400 * "0", "[1]", "{a: 1}", "'x'"])
@pytest.mark.parametrize("setting", ["training.learning_rate", "training.lora_alpha", "data.train", "data.seed"])
def test_set_refuses_values_that_are_not_numbers(setting: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "demo", "--set", f"{setting}={value}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_parse_yaml_accepts_aliases_of_small_values() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: *a}}") == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}
