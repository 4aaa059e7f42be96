"""`rsvlm data import` and `rsvlm data convert`; every command of docs/your-own-data.md that uses them."""

import re
import shlex
from pathlib import Path

import pytest
from support.command_line import rsvlm
from support.files import encoded
from support.locations import REPO
from support.other_formats import (
    coco,
    geochat,
    karpathy,
    messages,
    ms_swift,
    nwpu,
    rsvqa,
    vrsbench,
    write,
)

from tasks.files import read_json

PAGE = (REPO / "docs" / "your-own-data.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files that the page names."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        rsvqa(tmp_path, split)
    # the test split has other questions and images
    for path in tmp_path.glob("LR_split_test_*.json"):
        text = path.read_text()
        for field in ("id", "img_id", "question_id"):
            text = re.sub(rf'"{field}": (\d)\b', lambda found: f'"{found[0].split(chr(34))[1]}": 1{found[1]}', text)
        path.write_text(text.replace('"original_name": "', '"original_name": "1'))
    for name in ("USGS_split_{}_{}.json", "USGS_split_{}_phili_{}.json"):
        rsvqa(tmp_path, "test", name)
    karpathy(tmp_path / "dataset_rsicd.json", ("train", "train", "test", "train", "test"))
    nwpu(tmp_path / "dataset_nwpu.json")
    coco(tmp_path / "captions_train.json")
    geochat(tmp_path / "lrben.jsonl")
    messages(tmp_path / "rs_instructions.json")
    ms_swift(tmp_path / "swift.jsonl")
    vrsbench(tmp_path / "VRSBench_EVAL_vqa.json")
    vrsbench(tmp_path / "VRSBench_EVAL_Cap.json")
    turns = [{"from": "human", "value": "<image>\n[vqa] Is it?"}, {"from": "gpt", "value": "yes"}]
    write(tmp_path / "VRSBench_train.json", [{"id": "a", "image": "P0003_0002.png", "conversations": turns}])
    (tmp_path / "Images_LR").mkdir()
    for number in (0, 1, 10, 11):
        (tmp_path / "Images_LR" / f"{number}.tif").write_bytes(encoded("TIFF"))
    return tmp_path


def page_commands() -> list[str]:
    """The commands of the sections that are about importing and converting."""
    sections = [PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0] for title in ("Import a data set", "Convert")]
    blocks = [block for section in sections for block in re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.M)]
    return [line for block in blocks for line in block.splitlines()]


def with_braces(word: str) -> list[str]:
    """The words that bash makes of `a{b,c}`."""
    parts = re.fullmatch(r"(.*)\{(.*)\}(.*)", word)
    return [f"{parts[1]}{each}{parts[3]}" for each in parts[2].split(",")] if parts else [word]


def words_of(command: str, folder: Path) -> list[str]:
    """The words of a command after its name, patterns replaced by file names as a shell does."""
    found: list[str] = []
    for word in (each for given in shlex.split(command)[1:] for each in with_braces(given)):
        found += sorted(path.name for path in folder.glob(word)) if "*" in word else [word]
    return found


def has_pyarrow() -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def test_every_command_of_the_page_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = page_commands()
    assert len(commands) >= 14
    for command in commands:
        needs_extra = " hf " in command and not has_pyarrow()
        assert rsvlm(*words_of(command, here)) == (2 if needs_extra else 0), (command, capsys.readouterr().err)
    assert "missing" not in capsys.readouterr().out
    sets = [read_json(here / "lr_sets" / f"data_{name}.json") for name in ("train", "test")]
    assert [len(records) for records in sets] == [4, 4] and not (here / "lr_sets" / "data_val.json").exists()
    assert len(read_json(here / "rsicd_coco.json")["annotations"]) == 10
    assert len(read_json(here / "lr_sharegpt.json")) == 8 and len(read_json(here / "hr.json")) == 4
    [trained] = read_json(here / "vrsbench_train.json")
    assert (trained["image"], trained["split"]) == ("VRSBench/P0003_0002.png", "train")
    assert [len(read_json(here / f"vrsbench_{name}.json")) for name in ("vqa", "captions")] == [3, 3]
    assert len(read_json(here / "lrben.json")) == 3


def test_the_terminal_says_the_format_and_what_is_lost(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = ("--images", here / "Images_LR")
    assert rsvlm("data", "import", *here.glob("LR_split_train*"), "--out", "a.json", *images) == 0
    assert capsys.readouterr().out.splitlines() == [
        "read as rsvqa",
        "a.json: LR 4 (written)",
        "  LR: 4 questions",
        *(
            f"  dropped 1: inactive {what} (its entry has active: false in all files)"
            for what in ("answer", "image", "question")
        ),
    ]
    assert rsvlm("data", "import", "dataset_rsicd.json", "--out", "b.json", *images) == 0
    names = ", ".join(f"RSICD/airport_{number}.jpg" for number in range(5))
    assert f"  missing 5 images in {images[1]}: {names}\n" in capsys.readouterr().out


def test_a_format_without_files_and_unknown_files_are_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rsvlm("data", "import", "coco", "--out", "a.json") == 2
    assert "There are no files after coco" in capsys.readouterr().err
    assert rsvlm("data", "import", "nowhere.json", "--out", "a.json") == 2
    assert "nowhere.json is not a file" in capsys.readouterr().err
    for wrong in ("vqa", "Karpathie"):
        assert rsvlm("data", "import", wrong, "captions_train.json", "--out", "a.json") == 2
        assert f"{wrong} is neither a file nor a format: give one of rsvqa, " in capsys.readouterr().err
    assert rsvlm("data", "import", "COCO", "captions_train.json", "--out", "b.json") == 0
    write(here / "coco", read_json(here / "captions_train.json"))
    assert rsvlm("data", "import", "./coco", "--out", "a.json") == 0


def test_imported_records_are_split_by_their_own_sets(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rsvlm("data", "import", "dataset_rsicd.json", "--out", "a.json") == 0
    for _ in range(2):
        assert rsvlm("data", "split", "a.json", "sets", "--protocol", "own") == 0
    assert sorted(path.name for path in (here / "sets").iterdir()) == [
        f"data_{name}.{suffix}" for name in ("test", "train") for suffix in ("json", "manifest.json")
    ]
    assert "noticed" not in capsys.readouterr().out
    write(here / "both.json", [record | {"image": "RSICD/a.jpg"} for record in read_json(here / "a.json")])
    assert rsvlm("data", "split", "both.json", "leaking", "--protocol", "own") == 0
    assert "  noticed 1: test image that is also in the training set\n" in capsys.readouterr().out
    assert rsvlm("data", "import", "captions_train.json", "--out", "b.json") == 0
    write(here / "c.json", [{**record, "split": "all"} for record in read_json(here / "b.json")])
    assert rsvlm("data", "split", "c.json", "none", "--protocol", "own") == 2
    assert "states its set in a field split" in capsys.readouterr().err and not (here / "none").exists()
