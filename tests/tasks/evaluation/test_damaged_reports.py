"""A report from elsewhere whose manifest fits it, and which is none all the same, is one sentence."""

import json
from pathlib import Path

import pytest

from flows.cli import main
from tasks.manifests import write_manifest

ROW = {"record": 0, "turn": 0, "source": "LR", "image": "LR/Train/1.tif", "right": True}
METRICS = {
    "a list": "[]",
    "null": "null",
    "no protocol": "{}",
    "a protocol of words": '{"protocol": "mine"}',
    "endless lists": "[" * 9999,
    "5,000 digits": '{"protocol": {"version": ' + "9" * 5000 + "}}",
    "NaN": '{"protocol": {"version": NaN}}',
}
ROWS = {
    "a number": "1",
    "a list": "[]",
    "nothing in it": "{}",
    "no image": '{"record": 0, "turn": 0, "source": "LR"}',
    "endless objects": '{"a":' * 9999,
    "5,000 digits": "9" * 5000,
}


def report(folder: Path, metrics: str, row: str) -> str:
    folder.mkdir()
    (folder / "metrics.json").write_text(metrics)
    (folder / "per_answer.jsonl").write_text(f"{row}\n")
    write_manifest(folder, folder.name)
    return str(folder)


@pytest.mark.parametrize(
    ("metrics", "row"),
    [
        *(pytest.param(text, json.dumps(ROW), id=f"metrics: {name}") for name, text in METRICS.items()),
        *(pytest.param('{"protocol": {}}', text, id=f"answers: {name}") for name, text in ROWS.items()),
    ],
)
def test_comparing_refuses_what_is_no_report(
    metrics: str, row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [report(tmp_path / name, metrics, row) for name in ("a", "b")]
    assert main(["compare", *folders, "--out", str(tmp_path / "out.json")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and len(said.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()
