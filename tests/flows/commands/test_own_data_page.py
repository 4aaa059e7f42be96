"""The commands and settings of docs/your-own-data.md about sources and image folders."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.command_line import rsvlm
from support.locations import REPO

from tasks.files import read_json

PAGE = (REPO / "docs" / "your-own-data.md").read_text(encoding="utf-8")
Run = Callable[[str], int]


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands(text: str, start: str) -> list[str]:
    """The commands of a section that begin so."""
    return [line for line in text.splitlines() if line.startswith(f"rsvlm {start}")]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of the page in a folder of its own, where /disk is a folder, too."""
    monkeypatch.chdir(tmp_path)
    return lambda line: rsvlm(*shlex.split(line.replace("/disk", str(tmp_path / "disk")))[1:])


def drawn(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), (number * 12, 0, 0)).save(path)
    return path


def asked(number: int, image: object, question: str, answer: str, **fields: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
    return {"id": number, "image": str(image), "conversations": turns, **fields}


def test_a_described_source_is_filtered_split_and_scored(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = section("Describe a source")
    [settings] = re.findall(r"^```yaml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "mine.yaml").write_text(settings)
    questions = ("Is the road flooded?", "Which houses are damaged?", "How many cars are there?")
    rows = [
        asked(10 * number + kind, f"FLOOD/tiles/{number}.png", question, "yes")
        for number in range(10)
        for kind, question in enumerate(questions)
    ]
    prompt = {"task": "captioning", "sentences": ["a road", "a road in water"]}
    rows += [
        asked(100 + number, f"FLOOD/tiles/{number}.png", "Describe it.", "a road", **prompt) for number in range(10)
    ]
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FOLDER" / "dataset.json").write_text(json.dumps(rows))
    config, kept, split, evaluate = (
        commands(text, name) for name in ("config", "data filter", "data split", "evaluate")
    )
    for line in (*config, *kept, *split):
        assert run(line) == 0
    assert "name: FLOOD" in (said := capsys.readouterr().out) and "none has the field" not in said
    misspelt = (tmp_path / "mine.yaml").read_text().replace("sentences", "sentnces")
    (tmp_path / "wrong.yaml").write_text(misspelt)
    for _ in range(2):
        assert run(kept[0].replace("mine.yaml", "wrong.yaml").replace("flood.json", "wrong.json")) == 0
        assert "noticed 40: record of FLOOD, of which none has the field sentnces" in capsys.readouterr().out
    (tmp_path / "final.json").write_bytes((tmp_path / "sets" / "data_test.json").read_bytes())
    assert [run(line) for line in evaluate] == [0]
    found = read_json(tmp_path / "report" / "metrics.json")
    assert found["vqa"]["FLOOD"]["questions"] == 6 and found["captioning"]["FLOOD"]["images"] == 2
    kinds = {turn.get("question_type") for row in read_json(tmp_path / "flood.json") for turn in row["conversations"]}
    assert kinds == {"flooded", "damage", None}
    assert len(read_json(tmp_path / "flood.json")) == 50


def test_images_are_used_where_they_are(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [drawn(tmp_path / "disk" / "LR" / "Train" / f"{number}.tif", number) for number in range(20)]
    rows = [asked(number, image, "Is there a road?", "yes") for number, image in enumerate(images)]
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "FOLDER" / "dataset.json").write_text(json.dumps(rows))
    text = section("Images where they are")
    [line] = commands(text, "data filter")
    assert run(line) == 0
    assert [row["image"] for row in read_json(tmp_path / "relative.json")] == [f"LR/Train/{n}.tif" for n in range(20)]
    assert run(line.replace("relative.json", "other.json").replace("/disk/LR", "/disk/none")) == 2
    assert "data.image_root.LR is" in capsys.readouterr().err and not (tmp_path / "other.json").exists()
    [line] = commands(text, "preflight")
    run(line)
    said = capsys.readouterr().out
    assert "20 records of" in said and "20 images of a random sample of records decoded" in said
    assert run(line.replace("/disk/LR", "/disk/none")) == 2
    assert "data.image_root.LR is" in capsys.readouterr().err
