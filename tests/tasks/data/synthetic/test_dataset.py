import json
import random
import re
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from tasks.data.synthetic.captions import NUMBERS, number_word, nwpu_captions
from tasks.data.synthetic.dataset import draw_lessons, draw_sample, lesson_records, sample_records
from tasks.data.synthetic.layouts import LAYOUTS
from tasks.data.synthetic.lessons import IN_WORDS, SIGHTS, SQUARES, TALLIES, THINGS, square_words
from tasks.data.synthetic.questions import DETECTED, LOW_RESOLUTION, URBAN, counts_of
from tasks.data.synthetic.world import SIDE, Patch, Scene, Thing
from tasks.errors import OccupiedError
from tasks.settings import SampleConfig

SMALL = SampleConfig(scenes=60, image_size=48, seed=5)
KINDS = {
    "plane": "plane",
    "ship": "ship",
    "pier": "pier",
    "tank": "tank",
    "car": "car",
    "field": "field",
    "house": "house",
    "tree": "tree",
    "bridge": "bridge",
    "road": "road",
    "umbrella": "umbrella",
}


@pytest.fixture(scope="module")
def drawn() -> list[tuple[dict, Scene]]:
    return list(sample_records(SampleConfig()))


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "data"
    draw_sample(root, SMALL)
    return root


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def image_digests(root: Path) -> set[str]:
    return {sha256(p.read_bytes()).hexdigest() for p in (root / "imagenes").rglob("*") if p.is_file()}


def exchanges(record: dict) -> list[tuple[str, str]]:
    values = [turn["value"].removeprefix("<image>\n") for turn in record["conversations"]]
    return list(zip(values[::2], values[1::2], strict=True))


def of_source(drawn: list, *sources: str) -> list:
    return [(record, scene) for record, scene in drawn if record["id"].split("_")[0] in sources]


def overlap(one: Thing, other: Thing) -> bool:
    a, b = one.box, other.box
    return a[0] < b[2] - 1e-6 and b[0] < a[2] - 1e-6 and a[1] < b[3] - 1e-6 and b[1] < a[3] - 1e-6


def test_same_seed_gives_the_same_bytes(sample, tmp_path):
    draw_sample(tmp_path / "again", SMALL)
    assert bytes_below(tmp_path / "again") == bytes_below(sample)


def test_other_seed_gives_other_images(sample, tmp_path):
    draw_sample(tmp_path / "other", SMALL.model_copy(update={"seed": 6}))
    assert not image_digests(tmp_path / "other") & image_digests(sample)


def test_lessons_and_sample_share_no_image(sample, tmp_path):
    draw_lessons(tmp_path / "lessons", 60, 48, 5)
    assert len(image_digests(tmp_path / "lessons")) == 60
    assert not image_digests(tmp_path / "lessons") & image_digests(sample)


def test_lessons_use_no_question_or_caption_of_the_sample(drawn):
    sample_texts = {text for record, _ in drawn for exchange in exchanges(record) for text in exchange}
    lessons = [exchange for record, _ in lesson_records(300, 28) for exchange in exchanges(record)]
    assert {prompt for prompt, _ in lessons} & sample_texts == {"What does this image represent?"}
    shared = {answer for _, answer in lessons} & sample_texts
    assert all(answer in ("yes", "no") or answer.isdecimal() for answer in shared)


def test_some_lessons_have_several_turns():
    assert max(len(exchanges(record)) for record, _ in lesson_records(100, 28)) > 1


def test_complete_sample_is_kept(sample):
    before = (sample / "MANIFEST.json").stat().st_mtime_ns
    draw_sample(sample, SMALL)
    assert (sample / "MANIFEST.json").stat().st_mtime_ns == before


def test_folder_with_other_data_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OccupiedError, match="holds data other than"):
        draw_sample(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_damaged_sample_is_drawn_again(tmp_path):
    draw_sample(tmp_path / "data", SMALL)
    whole = bytes_below(tmp_path / "data")
    next((tmp_path / "data" / "imagenes" / "DOTA").rglob("*.png")).write_bytes(b"damaged")
    draw_sample(tmp_path / "data", SMALL)
    assert bytes_below(tmp_path / "data") == whole


def test_every_record_has_an_image_of_the_requested_size(sample):
    for record in json.loads((sample / "instructions_raw.json").read_bytes()):
        with Image.open(sample / "imagenes" / record["image"]) as image:
            assert image.convert("RGB").size == (48, 48)


def test_records_have_the_schema_of_the_published_file(drawn):
    for record, _ in drawn:
        assert list(record) == ["id", "image", "conversations"]
        turns = record["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert [turn["value"].count("<image>") for turn in turns] == [1] + [0] * (len(turns) - 1)
        assert turns[0]["value"].startswith("<image>\n")
    assert len({record["id"] for record, _ in drawn}) == len({r["image"] for r, _ in drawn}) == 400


def test_sources_share_the_scenes(drawn):
    assert [len(of_source(drawn, name)) for name in ("NWPU", "RSICD", "LR", "DOTA")] == [120, 120, 80, 80]


def test_things_do_not_overlap_and_are_inside_the_scene(drawn):
    for _, scene in drawn:
        things = [thing for thing in scene.things if thing.kind != "crown"]
        for number, thing in enumerate(things):
            assert min(thing.box) >= -1e-6 and max(thing.box) <= SIDE + 1e-6
            assert not any(overlap(thing, other) for other in things[number + 1 :])


def test_every_class_is_drawn_for_both_captioning_sources(drawn):
    for source in ("NWPU", "RSICD"):
        assert {scene.land_use for _, scene in of_source(drawn, source)} == set(LAYOUTS)


def test_five_distinct_lower_case_captions_without_final_stop(drawn):
    for record, _ in of_source(drawn, "NWPU", "RSICD"):
        captions = [answer for _, answer in exchanges(record)]
        assert len(set(captions)) == 5
        assert all(re.fullmatch(r"[a-z ]+", caption) for caption in captions)


NUMBERED = re.compile(rf"\b({'|'.join(NUMBERS)}|many) (?:[a-z]+ )*?({'|'.join(KINDS)})s?\b")


def test_numbers_in_captions_match_the_scene(drawn):
    captions = of_source(drawn, "NWPU", "RSICD")
    for record, scene in captions:
        for _, caption in exchanges(record):
            numbered = NUMBERED.findall(caption)
            assert numbered, caption
            for word, noun in numbered:
                in_forest = scene.land_use == "forest" and noun == "tree"
                count = scene.count("crown" if in_forest else KINDS[noun])
                assert count > 6 if word == "many" else count == NUMBERS.index(word), caption


def test_sides_in_captions_match_the_main_feature(drawn):
    main = {
        "airport": "runway",
        "harbor": "quay",
        "storage tanks": "road",
        "beach": "water",
        "parking lot": "lawn",
    }
    for record, scene in of_source(drawn, "NWPU", "RSICD"):
        text = " ".join(answer for _, answer in exchanges(record))
        stated = set(re.findall(r"(?:at|on) the (top|bottom|left|right)", text))
        if scene.land_use in main:
            patch = next(patch for patch in scene.patches if patch.kind == main[scene.land_use])
            x, y = (sum(axis) / len(patch.points) for axis in zip(*patch.points, strict=True))
            sides = {"left": SIDE / 2 - x, "right": x - SIDE / 2, "top": SIDE / 2 - y, "bottom": y - SIDE / 2}
            assert stated == {max(sides, key=lambda side: sides[side])}


def test_answers_of_low_resolution_scenes_are_correct(drawn):
    for record, scene in of_source(drawn, "LR"):
        counts = counts_of(scene, LOW_RESOLUTION)
        for question, answer in exchanges(record):
            assert answer == true_answer(question, counts, scene), question


def test_answers_of_detection_scenes_are_correct(drawn):
    for record, scene in of_source(drawn, "DOTA"):
        counts = counts_of(scene, DETECTED)
        for question, answer in exchanges(record):
            assert answer == true_answer(question, counts, scene), question


def true_answer(question: str, counts: dict[str, int], scene: Scene) -> str:
    if "rural" in question:
        return "urban" if scene.land_use in URBAN else "rural"
    named = sorted((name for name in counts if name in question), key=question.index)
    if question.startswith(("How many", "What is the")):
        return str(counts[named[0]])
    if "equal" in question:
        return "yes" if counts[named[0]] == counts[named[1]] else "no"
    if "more" in question:
        return "yes" if counts[named[0]] > counts[named[1]] else "no"
    if "less" in question:
        return "yes" if counts[named[0]] < counts[named[1]] else "no"
    return "yes" if counts[named[0]] else "no"


NAMED = {name: kinds for names, kinds in THINGS.items() for name in names}
ABOUT_A_THING = [
    (re.compile(re.escape(form).replace(re.escape("{}"), "(.+?)")), counted)
    # those in words first: "Count the ships in words." has the beginning and the end of "Count the {}s."
    for forms, counted in ((IN_WORDS, number_word), (SIGHTS, None), (TALLIES, str))
    for form in forms
]
COUNTING = [form for form, counted in ABOUT_A_THING if counted]


def test_lessons_are_correct():
    checked = 0
    for record, scene in lesson_records(400, 3):
        for question, answer in exchanges(record):
            for form, counted in ABOUT_A_THING:
                if match := form.fullmatch(question):
                    count = scene.count(*NAMED[match[1]])
                    assert answer == (counted(count) if counted else "yes" if count else "no")
                    checked += 1
                    break
    assert checked > 1000


def test_lessons_ask_for_all_counts_but_those_of_crowns():
    for record, scene in lesson_records(200, 3):
        asked = {
            match[1] for question, _ in exchanges(record) for form in COUNTING if (match := form.fullmatch(question))
        }
        shown = {names for names, kinds in THINGS.items() if scene.count(*kinds)}
        if asked:
            assert all(asked & set(names) for names in shown if names != ("tree",) or not scene.count("crown"))


def test_squares_have_the_words_of_the_objects_with_their_centres_there_and_else_of_the_ground():
    side = SIDE / SQUARES
    for record, scene in lesson_records(100, 3):
        squares = record["squares"]
        assert len(squares) == SQUARES**2
        centred = {int(thing.y / side) * SQUARES + int(thing.x / side): thing for thing in scene.things}
        for number, thing in centred.items():
            assert squares[number].startswith(f"{thing.colour} {thing.kind} ")
        grounds = {scene.ground, *(f"{area.colour} {area.kind} " for area in scene.patches if area.kind)}
        others = {words for number, words in enumerate(squares) if number not in centred}
        assert all(any(words.startswith(ground) for ground in grounds) for words in others)


def test_words_of_a_square_are_names_and_number_and_its_part_in_a_caption():
    quay = Patch("quay", "concrete", ((0, 0), (64, 0), (64, 8), (0, 8)))
    ships = [Thing("ship", x, 20, 0, "red") for x in (4, 20, 36, 52)]
    car, crown = Thing("car", 4, 4, 0, "blue"), Thing("crown", 4, 60, 0, "dark green")
    words = square_words(Scene("harbor", "blue water", "top", (quay,), (*ships, car, crown), b"", 0))
    assert words[2 * SQUARES] == "red ship ship boat ships boats four 4 there"
    assert words[0] == "blue car car vehicle cars vehicles one 1"
    assert words[1] == "concrete quay quay harbor quays harbors one 1 top"
    assert words[-SQUARES] == "dark green crown tree trees one"
    assert words[-1] == "blue water"


def test_area_covers_the_points_inside_its_outline():
    area = Patch("water", "blue", ((0, 0), (8, 0), (8, 8), (4, 2), (0, 8)))
    assert area.covers(1, 1) and area.covers(7, 6)
    assert not area.covers(4, 6) and not area.covers(9, 1)


def test_facts_of_lessons_occur_in_the_captions_of_the_scene():
    for record, scene in lesson_records(100, 3):
        captions = " ".join(nwpu_captions(scene, random.Random(0)))
        stated = [answer for question, answer in exchanges(record) if question.startswith("Say w")]
        assert all(answer in captions for answer in stated)


def test_yes_and_no_are_both_frequent_in_questions(drawn):
    for source in ("LR", "DOTA"):
        answers = [answer for record, _ in of_source(drawn, source) for _, answer in exchanges(record)]
        assert 0.35 < answers.count("yes") / (answers.count("yes") + answers.count("no")) < 0.65
