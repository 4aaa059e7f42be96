"""Users' own data: records that a model of this family cannot take, and JSON Lines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.command_line import rsvlm

from tasks.files import read_json

Records = list[dict[str, Any]]
SETS = ("data_train", "data_val", "data_test")


QUESTION = ("<image>\nIs there a road?", "yes")
UNUSABLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no image": (lambda row: row.pop("image"), "no image: text alone"),
    "an image that is null": (lambda row: row.update(image=None), "no image: text alone"),
    "two images": (lambda row: row.update(image=["A/1.png", "B/1.png"]), "several images"),
    "images": (lambda row: row.update(images=[row.pop("image"), "B/1.png"]), "several images"),
    "one image in a list": (lambda row: row.update(image=[row["image"]]), "image is not a single path"),
    "a system turn": (
        lambda row: row["conversations"].insert(0, {"from": "system", "value": "You see satellite images."}),
        "turn of a role other than human and gpt",
    ),
    "a tool's turn": (
        lambda row: row["conversations"].append({"from": "observation", "value": "{}"}),
        "turn of a role other than human and gpt",
    ),
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "imagenes"
    (folder / "LR" / "Train").mkdir(parents=True)
    for number in range(10):
        Image.new("RGB", (20, 20), (25 * number, 0, 0)).save(folder / f"LR/Train/{number}.tif")
    return folder


def predict(data: Path, images: Path, out: Path) -> int:
    echo = images.parent / "echo"
    echo.mkdir(exist_ok=True)
    (echo / "config.json").write_text("{}")
    return rsvlm(*("predict", "--model", echo, "--engine", "echo", "--data", data, "--images", images, "--out", out))


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_record_is_dropped_by_the_command_in_the_message(
    write: Any, tmp_path: Path, images: Path, kind: str, capsys: pytest.CaptureFixture[str], record: Any
) -> None:
    change, reason = UNUSABLE[kind]
    rows = [record(n, f"LR/Train/{n}.tif", QUESTION) for n in range(10)]
    change(rows[3])
    data = write("test.json", rows)
    assert predict(data, images, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "record 3: it has " in said and "`rsvlm data filter --sources all`" in said
    for number, options in enumerate(([], ["--sources", "all"])):
        assert rsvlm("data", "filter", data, tmp_path / f"{number}.json", *options) == 0
        assert read_json(tmp_path / f"{number}.manifest.json")["dropped"] == {reason: 1}
        assert predict(tmp_path / f"{number}.json", images, tmp_path / f"out-{number}") == 0


@pytest.mark.parametrize("kind", UNUSABLE)
@pytest.mark.parametrize("command", ["split", "reduce"])
def test_split_and_reduce_name_the_record_and_the_command_that_drops_it(
    write: Any, tmp_path: Path, kind: str, command: str, capsys: pytest.CaptureFixture[str], record: Any
) -> None:
    rows = [record(n, f"LR/Train/{n}.tif", QUESTION) for n in range(10)]
    UNUSABLE[kind][0](rows[3])
    options = ["--ratio", "0.5"] if command == "reduce" else []
    assert rsvlm("data", command, write("raw.jsonl", rows), tmp_path / "out", *options) == 2
    said = capsys.readouterr().err
    assert "raw.jsonl: line 4 (id '3') has " in said and "drop it with `rsvlm data filter --sources all`" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_of_unusable_records_only_is_filtered_to_an_empty_list(
    write: Any, tmp_path: Path, kind: str, record: Any
) -> None:
    change, reason = UNUSABLE[kind]
    row = record(1, "LR/Train/1.tif", QUESTION)
    change(row)
    assert rsvlm("data", "filter", write("raw.json", [row]), tmp_path / "out.json") == 0
    assert read_json(tmp_path / "out.json") == [] and read_json(tmp_path / "out.manifest.json")["dropped"] == {
        reason: 1
    }


def test_absolute_paths_only_are_refused_with_the_setting_for_them(
    write: Any, tmp_path: Path, record: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [record(1, "/disk/LR/1.tif", QUESTION)]
    for options in ((), ("--sources", "all")):
        assert rsvlm("data", "filter", write("raw.json", rows), tmp_path / "out.json", *options) == 2
    assert not (tmp_path / "out.json").exists()
    said = capsys.readouterr().err
    assert "(image path is absolute: 1)" in said and "name the folder of their source in data.image_root" in said


@pytest.mark.parametrize(("policy", "records"), [("drop", 9), ("repair", 10)])
def test_a_system_turn_is_a_fault_of_its_record(
    write: Any, tmp_path: Path, images: Path, policy: str, records: int, record: Any
) -> None:
    from deployments.configuration import load_config
    from tasks.data.preparing import prepare_dataset

    rows = [record(n, f"LR/Train/{n}.tif", QUESTION) for n in range(10)]
    UNUSABLE["a system turn"][0](rows[3])
    config = load_config(
        "real-cpu", ["data.sources=[LR]", "data.near_duplicates=ignore", f"data.record_faults={policy}"]
    ).data
    prepare_dataset(write("raw.json", rows), images, config, tmp_path / "sets")
    manifest = read_json(tmp_path / "sets" / "MANIFEST.json")["details"]
    assert sum(manifest["records"][name] for name in ("train", "val", "test")) == records
    counted = manifest["dropped" if policy == "drop" else "repaired"]
    assert counted == {"turn of a role other than human and gpt": 1}
    assert manifest["tasks"] == {"LR": {"captioning": 0, "vqa": records, "guessed": 0}}


def test_records_dropped_for_one_reason_by_filter_and_checks_are_counted_together(
    write: Any, tmp_path: Path, images: Path, record: Any
) -> None:
    from deployments.configuration import load_config
    from tasks.data.preparing import choose_records

    rows = [record(n, f"LR/Train/{n}.tif", QUESTION) for n in range(10)]
    for row in rows[:3]:
        row["conversations"][1]["value"] = ""
    # an answer without a question: only the check of the turn order finds it
    rows[3]["conversations"] = rows[3]["conversations"][1:]
    config = load_config("real-cpu", ["data.sources=[LR]", "data.near_duplicates=ignore"]).data
    chosen = choose_records(write("raw.json", rows), images, config)
    assert chosen.checked.dropped == {"no answer to learn from": 4}
    assert len(chosen.checked.records) == 6


def test_every_command_reads_json_lines_like_a_list(write: Any, tmp_path: Path, images: Path, record: Any) -> None:
    rows = [record(n, f"LR/Train/{n}.tif", QUESTION) for n in range(10)]
    found = []
    for name in ("raw.json", "raw.jsonl"):
        data, out = write(name, rows), tmp_path / Path(name).suffix
        assert rsvlm("data", "filter", data, out / "kept.json") == 0
        assert rsvlm("data", "split", data, out / "sets") == 0
        assert rsvlm("data", "reduce", data, out / "part.json", "--ratio", "0.5") == 0
        assert rsvlm("data", "audit", data, "--images", images, "--out", out / "audit") == 0
        assert predict(data, images, out / "said") == 0
        paths = ("--data", data, "--predictions", data, "--train", data, "--images", images)
        assert rsvlm("evaluate", *paths, "--out", out / "report") == 0
        names = ("kept.json", *(f"sets/{name}.json" for name in SETS), "part.json", "said/final.json")
        metrics = read_json(out / "report" / "metrics.json")
        found.append(([read_json(out / name) for name in names], metrics["vqa"], metrics["protocol"]["test_set"]))
    assert found[0] == found[1]
