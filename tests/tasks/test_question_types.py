import json
from collections import defaultdict

import pytest
from support.locations import REAL

from tasks.data.synthetic.dataset import sample_records
from tasks.question_types import question_type, stated_types
from tasks.settings import SampleConfig
from tasks.sources import source_of
from tasks.turn_tasks import turn_tasks

RAW = REAL / "instructions_raw.json"


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("Is it a rural or an urban area", "rural", "rural_urban"),
        ("Are there less water areas than roads?", "yes", "comparison"),
        ("Is the number of meadows equal to the number of residential buildings?", "no", "comparison"),
        ("What is the amount of forests?", "109", "count"),
        ("What is the number of commercial buildings in the image?", "8", "count"),
        ("How many ships are there in this picture?", "548", "count"),
        ("How many trees in the picture?", "several", "count"),
        ("Is there a grass area at the top of a  commercial building in the image?", "yes", "presence"),
        ("Is a residential building present?", "yes", "presence"),
        ("Is a farmland on the left of a road?", "yes", "presence"),
        ("Does this picture contain baseball diamond?", "no", "presence"),
        ("<image>\nDoes this picture contain trees?", "yes", "presence"),
        ("What is the theme of this picture?", "harbor", "scene"),
        ("What is the location of the cross point in this picture?", "center", "other"),
        ("Please tell me if there is a road.", "yes", "presence"),
        ("Determine whether there are ships in the image.", "no, none", "presence"),
        ("Do you see a road?", "yes, one", "presence"),
        ("You are an expert. Is there a road?", "yes, one", "presence"),
        ("Look at the image. Are there ships?", "yes, two", "presence"),
        ("Answer in one word. Is there a harbor?", "a few", "presence"),
        ("Yes or no: is there a road?", "it is", "presence"),
        ("1. Is there a road?", "it is", "presence"),
        ("Please count the buildings.", "3", "count"),
        ("Can you count all ships?", "3", "count"),
        ("What is the quantity of ships?", "3", "count"),
        ("Is the number of roads greater than the number of buildings?", "no", "comparison"),
        ("Is the number of roads the same as the number of buildings?", "no", "comparison"),
        ("Which are more numerous, ships or cars?", "ships", "comparison"),
        ("How big is the area of the farmland?", "120m2", "area"),
        ("What area is covered by buildings?", "120m2", "area"),
        ("How much of the area is covered by roads?", "120m2", "area"),
        ("Calculate the area of the water bodies.", "120m2", "area"),
        ("What kind of land cover is this?", "forest", "scene"),
        ("What is the label of this image?", "harbor", "scene"),
        ("What type of area is shown?", "harbor", "scene"),
        ("What scene is shown in the image?", "harbor", "scene"),
        ("What is the type of the scene?", "harbor", "scene"),
        ("What is the colour of the vehicle in the scene?", "white", "other"),
        ("Which part of the scene is covered by trees?", "top", "other"),
    ],
)
def test_question_type_follows_from_the_words(question, answer, kind):
    assert question_type(question, answer) == kind


def types_of(records) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if set(turn_tasks(record)) == {"vqa"}:
            turns = [turn["value"] for turn in record["conversations"]]
            for question, answer in zip(turns[::2], turns[1::2], strict=True):
                kind = question_type(question, answer)
                found[source_of(record["image"])].add(kind)
                assert (kind == "count") == answer.isdigit() or source_of(record["image"]) == "UCM"
                assert (answer in ("yes", "no")) == (kind in ("presence", "comparison"))
    return dict(found)


def test_every_real_question_has_a_type():
    if not RAW.exists():
        pytest.skip("golden values not present")
    records = [r for r in json.loads(RAW.read_bytes()) if source_of(r["image"]) in ("LR", "DOTA", "UCM")]
    assert types_of(records) == {
        "LR": {"presence", "comparison", "rural_urban", "count"},
        "DOTA": {"presence", "count"},
        "UCM": {"presence", "count", "scene", "other"},
    }


def test_every_sample_question_has_a_type():
    assert types_of(record for record, _ in sample_records(SampleConfig())) == {
        "LR": {"presence", "comparison", "rural_urban", "count"},
        "DOTA": {"presence", "count"},
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("comp", "comparison"),
        ("Presence", "presence"),
        *((name, "rural_urban") for name in ("rural_urban", "Rural/Urban", "rural or urban", "urban-rural")),
        ("count", "count"),
        (" object   color ", "object color"),
        ("Landnutzung", "Landnutzung"),
        (3, "3"),
    ],
)
def test_a_stated_type_is_kept_by_our_name_or_its_own(name, kind):
    turns = [{"from": "human", "value": "How many?", "question_type": name}, {"from": "gpt", "value": "2"}]
    assert stated_types({"conversations": turns}) == (kind,)


def test_the_type_of_a_turn_precedes_that_of_its_record():
    asked, said = {"from": "human", "value": "?"}, {"from": "gpt", "value": "x"}
    own = {**asked, "question_type": "area"}
    assert stated_types({"conversations": [asked, said, own, said], "question_type": "mine"}) == ("mine", "area")
    assert stated_types({"conversations": [asked, said, own, said]}) == (None, "area")
    for nothing in ({}, {"question_type": ""}, {"question_type": None}, {"question_type": ["a"]}):
        assert stated_types({"conversations": [asked, said], **nothing}) == ()
