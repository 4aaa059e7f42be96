"""Import, conversion and import again give the same records."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.other_formats import SAMPLES, write, write_lines
from support.other_formats import coco as coco_sample

from tasks.data.exporting.convert import convert_file
from tasks.data.importing.import_files import ImportRequest, import_files
from tasks.files import read_json

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() and "<" not in text
)
NAME = st.from_regex(r"[a-z]{1,5}(/[a-z]{1,3})?\.(jpg|png|tif)", fullmatch=True)
IDS = st.one_of(st.integers(0, 999), TEXT)
TYPE = st.sampled_from(["presence", "count", "area", "comp", "rural_urban", "own type"])
SPLIT = st.sampled_from(["train", "val", "test"])
CAPTIONING = ("karpathy", "nwpu", "coco")


@st.composite
def rsvqa(draw: st.DrawFn) -> list[Any]:
    rows = draw(st.lists(st.tuples(TEXT, TEXT, TYPE, st.integers(0, 3), st.booleans()), min_size=1, max_size=6))
    rows[0] = (*rows[0][:4], True)
    questions, answers = [], []
    for number, (question, answer, kind, image, active) in enumerate(rows):
        asked = {"img_id": image, "type": kind, "question": question, "answers_ids": [number]}
        questions.append({"id": number, "active": active, **(asked if active else {})})
        answers.append({"id": number, "question_id": number, "answer": answer, "active": True})
    images = [{"id": number, "original_name": f"{number}.tif", "active": True} for number in range(4)]
    return [{"questions": questions}, {"answers": answers}, {"images": images}]


@st.composite
def karpathy(draw: st.DrawFn) -> list[Any]:
    images = draw(st.lists(st.tuples(NAME, SPLIT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=4))
    number = 0
    found = []
    for name, split, texts in images:
        sentences = [{"raw": text, "sentid": number + index} for index, text in enumerate(texts)]
        number += len(texts)
        found.append({"filename": name, "split": split, "sentences": sentences})
    return [{"images": found, "dataset": "rsicd"}]


@st.composite
def nwpu(draw: st.DrawFn) -> list[Any]:
    texts = draw(st.lists(TEXT, min_size=1, max_size=5))
    keys = ["raw", *(f"raw_{number}" for number in range(1, len(texts)))]
    sentences = dict(zip(keys, texts, strict=True))
    return [{"airport": [{"filename": "a.jpg", "split": draw(SPLIT), **sentences, "sentids": [*range(len(texts))]}]}]


@st.composite
def coco(draw: st.DrawFn) -> list[Any]:
    names = draw(st.lists(NAME, min_size=1, max_size=3, unique=True))
    images = [{"id": number, "file_name": name, "split": draw(SPLIT)} for number, name in enumerate(names)]
    captions = draw(st.lists(st.tuples(st.integers(0, len(names) - 1), TEXT), min_size=1, max_size=6))
    rows = [{"id": number, "image_id": image, "caption": text} for number, (image, text) in enumerate(captions)]
    return [{"images": images, "annotations": rows}]


@st.composite
def geochat(draw: st.DrawFn) -> list[Any]:
    ids = draw(st.lists(IDS, min_size=2, max_size=5, unique_by=str))
    return [
        {
            "question_id": name,
            "image": draw(NAME),
            "text": draw(TEXT),
            "category": draw(TYPE),
            "ground_truth": draw(TEXT),
        }
        for name in ids
    ]


def turns(draw: st.DrawFn, roles: tuple[str, str], keys: tuple[str, str]) -> list[dict[str, str]]:
    pairs = draw(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3))
    said = [(role, text) for pair in pairs for role, text in zip(roles, pair, strict=True)]
    return [{keys[0]: role, keys[1]: text} for role, text in said]


@st.composite
def sharegpt(draw: st.DrawFn) -> list[Any]:
    ids = draw(st.lists(IDS, min_size=1, max_size=4, unique_by=str))
    return [
        [
            {"id": name, "conversations": turns(draw, ("human", "gpt"), ("from", "value")), "images": [draw(NAME)]}
            for name in ids
        ]
    ]


@st.composite
def messages(draw: st.DrawFn) -> list[Any]:
    number = draw(st.integers(1, 4))
    rows = [
        {"messages": turns(draw, ("user", "assistant"), ("role", "content")), "images": [draw(NAME)]}
        for _ in range(number)
    ]
    return [rows]


@st.composite
def ms_swift(draw: st.DrawFn) -> list[Any]:
    return [
        {"query": draw(TEXT), "response": draw(TEXT), "images": [draw(NAME)]} for _ in range(draw(st.integers(2, 4)))
    ]


@st.composite
def vrsbench(draw: st.DrawFn) -> list[Any]:
    kinds = st.sampled_from(["caption", "ref", "object quantity", "reasoning"])
    rows = draw(st.lists(st.tuples(NAME, TEXT, TEXT, kinds), min_size=1, max_size=5))
    keys = ("image_id", "question", "ground_truth", "type")
    return [[{**dict(zip(keys, row, strict=True)), "question_id": number} for number, row in enumerate(rows)]]


LINES = ("geochat", "ms-swift")
MADE = {
    "rsvqa": rsvqa, "karpathy": karpathy, "nwpu": nwpu, "coco": coco, "geochat": geochat, "sharegpt": sharegpt,
    "messages": messages, "ms-swift": ms_swift, "vrsbench": vrsbench,
}  # fmt: skip


def test_every_sample_has_made_data_sets() -> None:
    assert MADE.keys() == SAMPLES.keys()


def written(folder: Path, name: str, values: list[Any]) -> tuple[Path, ...]:
    if name in LINES:
        return (write_lines(folder / "rows.jsonl", values),)
    return tuple(write(folder / f"{number}.json", value) for number, value in enumerate(values))


def import_into(out: Path, *files: Path, **options: Any) -> list[dict[str, Any]]:
    import_files(ImportRequest(files, out, **options))
    return read_json(out)


def back_again(name: str, values: list[Any], format: str) -> tuple[list[dict], list[dict]]:
    """The records of a data set, and those after a conversion and another import."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        source = "HR" if name == "rsvqa" else None
        first = import_into(folder / "first.json", *written(folder, name, values), source=source)
        convert_file(folder / "first.json", format, folder / "converted.json")  # type: ignore[arg-type]
        return first, import_into(folder / "second.json", folder / "converted.json")


def round_trip(name: str, format: str) -> Callable[[], None]:
    @given(MADE[name]())
    @settings(max_examples=40, deadline=None)
    def check(values: list[Any]) -> None:
        first, second = back_again(name, values, format)
        assert second == first

    return check


@pytest.mark.parametrize("name", MADE)
def test_sharegpt_keeps_the_records_of_every_format(name: str) -> None:
    round_trip(name, "sharegpt")()


@pytest.mark.parametrize("name", CAPTIONING)
def test_coco_keeps_the_records_of_every_captioning_format(name: str) -> None:
    round_trip(name, "coco")()


def test_coco_keeps_the_ids_of_images_that_share_one(tmp_path: Path) -> None:
    files = [coco_sample(tmp_path / f"captions_{split}.json")[0] for split in ("train", "val")]
    first = import_into(tmp_path / "first.json", *files)
    assert [record["image_id"] for record in first] == [7, 7, 7, 7]
    convert_file(tmp_path / "first.json", "coco", tmp_path / "converted.json")
    assert import_into(tmp_path / "second.json", tmp_path / "converted.json") == first


@pytest.mark.parametrize("format", ["coco", "sharegpt"])
def test_the_original_ids_of_records_are_kept(tmp_path: Path, format: Any) -> None:
    files = [coco_sample(tmp_path / f"captions_{split}.json")[0] for split in ("train", "val")]
    first = import_into(tmp_path / "first.json", *files)
    assert [record.get("original_id") for record in first] == [None, None, 70, 71]
    convert_file(tmp_path / "first.json", format, tmp_path / "converted.json")
    assert import_into(tmp_path / "second.json", tmp_path / "converted.json") == first
    again = import_into(tmp_path / "third.json", *(tmp_path / name for name in ("first.json", "second.json")))
    assert again[6]["id"] == "70-2-2" and again[6]["original_id"] == [70, "70-2"]
