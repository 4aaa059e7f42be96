import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from PIL import Image
from support.command_line import rsvlm
from support.locations import REAL

from deployments.configuration import load_config
from tasks.data.preparing import prepare_dataset
from tasks.errors import ConfigError
from tasks.evaluation.controls.caption_controls import class_of
from tasks.settings import DataConfig
from tasks.sources import DEFAULT_SOURCES, SOURCES, source_of, type_of_question
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


@pytest.mark.parametrize(
    ("source", "path", "kept"),
    [
        ("HR", "Data/0.tif", "0.tif"),
        ("HR", "Data/0.tif.aux.xml", None),
        ("VRSBench", "Images_train/00002_0000.png", "00002_0000.png"),
        ("VRSBench", "Images_val/P0003_0002.png", "P0003_0002.png"),
        ("Sydney", "Sydney_captions/imgs/1.tif", "1.tif"),
    ],
)
def test_images_of_a_published_archive_are_recognised(source, path, kept):
    found = re.fullmatch(SOURCES[source].distribution.file_pattern, path)
    assert (found["keep"] if found else None) == kept


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("What is the area covered by residential areas?", "120m2", "area"),
        ("What is the area covered by buildings at the bottom of the  residential area?", "0m2", "area"),
        ("What is the amount of square water areas?", "2", "count"),
        ("How many residential areas on the right of a  road are there?", "0", "count"),
        ("Is the number of residential areas equal to the number of roads?", "no", "comparison"),
        ("Are there less commercial buildings than large water areas?", "yes", "comparison"),
        ("Is a residential area at the top of a  residential building present?", "yes", "presence"),
        ("Is there a small water area?", "no", "presence"),
    ],
)
def test_questions_of_rsvqa_hr_have_their_types(question, answer, kind):
    assert type_of_question("HR", question, answer) == kind
    assert task_of(record("HR/0.tif", question)) == "vqa"


def test_an_image_path_that_is_empty_is_text_alone():
    assert source_of("") == source_of("", "mine") == "text only"


@pytest.fixture
def flood(tmp_path, monkeypatch):
    """A source from outside the package: one entry. A file has ten records of it and one of LR."""
    patterns = (("presence", re.compile("flooded")),)
    entry = replace(SOURCES["LR"], name="FLOOD", folder="FLOOD/images", questions=patterns)
    monkeypatch.setitem(SOURCES, "FLOOD", entry)
    turns = [{"from": "human", "value": "<image>\nWhat is flooded?"}, {"from": "gpt", "value": "the road"}]
    images = [*(f"FLOOD/images/{n}.tif" for n in range(10)), "LR/Train/10.tif"]
    for n, image in enumerate(images):
        path = tmp_path / "imagenes" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (n * 20, 0, 0)).save(path)
    rows = [{"id": str(n), "image": image, "conversations": turns} for n, image in enumerate(images)]
    (tmp_path / "raw.json").write_text(json.dumps(rows))
    (tmp_path / "other.json").write_text(json.dumps(rows[-1:]))


def test_commands_select_split_and_report_a_source_from_outside(flood, tmp_path, capsys):
    kept, sets, report = tmp_path / "kept.json", tmp_path / "split", tmp_path / "report"
    assert rsvlm("data", "filter", tmp_path / "raw.json", kept, "--sources", "FLOOD") == 0
    assert "FLOOD 10 (written)" in (said := capsys.readouterr().out) and "dropped 1: source LR not selected" in said
    assert rsvlm("data", "split", kept, sets) == 0
    assert [len(json.loads((sets / f"data_{name}.json").read_text())) for name in ("train", "val", "test")] == [7, 1, 2]
    test = sets / "data_test.json"
    assert rsvlm("evaluate", "--data", test, "--predictions", test, "--out", report) == 0
    scores = json.loads((report / "metrics.json").read_text())["vqa"]["FLOOD"]
    assert (scores["accuracy"], scores["by_type"]["presence"]["questions"]) == (1, 2)
    assert "<h3>FLOOD " in (report / "report.html").read_text()


def test_filter_takes_a_source_without_records_only_if_it_is_registered(flood, tmp_path):
    other = tmp_path / "other.json"
    assert rsvlm("data", "filter", other, tmp_path / "kept.json", "--sources", "LR,FLOOD") == 0
    assert rsvlm("data", "filter", other, tmp_path / "none.json", "--sources", "LR,FLOODS") == 2


def test_settings_and_the_sets_of_a_run_take_a_source_from_outside(flood, tmp_path):
    config = load_config("real-cpu", ["data.sources=[FLOOD]", "data.near_duplicates=ignore"]).data
    out = tmp_path / "sets"
    assert prepare_dataset(tmp_path / "raw.json", tmp_path / "imagenes", config, out).records["train"] == 7
    numbers = json.loads((out / "statistics.json").read_text())["train"]["FLOOD"]
    assert numbers["questions"]["by_type"] == {"presence": 7}


def test_the_class_of_an_image_is_its_folder_in_the_folder_of_a_source_from_outside(flood):
    assert class_of("FLOOD/images/harbor/12.tif") == "harbor"
    assert class_of("ELSEWHERE/images/harbor/12.tif") is None


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
