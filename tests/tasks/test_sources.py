import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image
from support.locations import REAL

from deployments.configuration import load_config
from tasks.data.preparing import prepare_dataset
from tasks.errors import ConfigError
from tasks.settings import DataConfig
from tasks.sources import DEFAULT_SOURCES, SOURCES, source_of
from tasks.turn_tasks import turn_tasks

RAW = REAL / "instructions_raw.json"


def record(image: str, prompt: str) -> dict:
    return {"id": "1", "image": image, "conversations": [{"from": "human", "value": f"<image>\n{prompt}"}]}


def task_of(row: dict) -> str:
    [task] = set(turn_tasks(row))
    return task


def test_source_is_the_first_folder_of_the_image_path():
    assert source_of("NWPU/NWPU_images/airport/airport_1.jpg") == "NWPU"
    assert source_of("./LR//Train/1.tif") == "LR"


@pytest.mark.parametrize("image", ["P0000_0002.png", "./P0000_0002.png", ".\\P0000_0002.png"])
def test_images_without_a_folder_belong_to_the_unnamed_source(image):
    assert source_of(image) == "unnamed"
    assert source_of(image, "GeoChat") == "GeoChat" and source_of("LR/1.tif", "GeoChat") == "LR"


def test_default_sources_are_those_of_the_configuration():
    assert DataConfig().sources == DEFAULT_SOURCES


def test_source_task_precedes_the_words_of_the_prompt():
    assert task_of(record("NWPU/a.jpg", "How many planes?")) == "captioning"
    assert task_of(record("DOTA/a.png", "Describe the image.")) == "vqa"


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("What does this image represent?", "captioning"),
        ("What is the topic of this image?", "captioning"),
        ("Provide a description of the image", "captioning"),
        ("Describe this scene in one sentence.", "captioning"),
        ("What is the theme of this picture?", "vqa"),
        ("How many cars in the picture?", "vqa"),
        ("Does this picture contain trees?", "vqa"),
    ],
)
def test_first_prompt_decides_the_task_of_a_mixed_source(prompt, task):
    assert task_of(record("UCM/images/1.jpg", prompt)) == task
    assert task_of(record("elsewhere/1.jpg", prompt)) == task


def test_new_source_needs_one_registry_entry(tmp_path, monkeypatch):
    """All code that works on records takes folder, task and question types from the entry."""
    floods = re.compile("flooded")
    entry = replace(SOURCES["LR"], name="FLOOD", folder="FLOOD/images", questions=(("presence", floods),))
    monkeypatch.setitem(SOURCES, "FLOOD", entry)
    name = "FLOOD/images/1.tif"
    turns = [{"from": "human", "value": "<image>\nWhat is flooded?"}, {"from": "gpt", "value": "the road"}]
    rows = [{"id": str(n), "image": name.replace("1", str(n)), "conversations": turns} for n in range(10)]
    (tmp_path / "raw.json").write_text(json.dumps(rows))
    for row in rows:
        (tmp_path / "imagenes" / row["image"]).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (int(row["id"]) * 20, 0, 0)).save(tmp_path / "imagenes" / row["image"])
    config = load_config("real-cpu", ["data.sources=[FLOOD]", "data.near_duplicates=ignore"]).data
    out = tmp_path / "sets"
    assert prepare_dataset(tmp_path / "raw.json", tmp_path / "imagenes", config, out).records["train"] == 7
    numbers = json.loads((out / "statistics.json").read_text())["train"]["FLOOD"]
    assert numbers["questions"]["by_type"] == {"presence": 7}


@pytest.mark.parametrize("setting", ["data.sources=[NWPUX]", "data.sources=[LR,nwpu]"])
def test_unknown_source_is_refused_with_a_suggestion(setting):
    with pytest.raises(ConfigError, match=r"is not a known source: (did you mean NWPU\?|use one of NWPU)"):
        load_config("demo", [setting])


def test_sources_and_tasks_of_the_real_records():
    if not RAW.exists():
        pytest.skip("golden values not present")
    tasks = Counter((source_of(r["image"]), task_of(r)) for r in json.loads(RAW.read_bytes()))
    assert tasks[("UCM", "captioning")] == 1042 and tasks[("UCM", "vqa")] == 279
    assert {source for source, task in tasks if task == "captioning"} == {"NWPU", "RSICD", "UAV", "UCM"}
