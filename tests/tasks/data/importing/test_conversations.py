"""ShareGPT, LLaMA-Factory, ms-swift and LLaVA: turns, roles, images and what is lost of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.other_formats import messages, ms_swift, sharegpt, write, write_lines

ASKED, SAID = {"from": "human", "value": "<image>\nIs it?"}, {"from": "gpt", "value": "yes"}


def entry(*turns: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "1", "image": "A/1.png", "conversations": list(turns or (ASKED, SAID)), **fields}


def test_both_layouts_of_llama_factory_give_the_same_turns(tmp_path: Path, imported: Callable) -> None:
    (first,), _ = imported(sharegpt(tmp_path / "a.json"))
    (second,), manifest = imported(messages(tmp_path / "b.json"))
    turns = [{"from": "human", "value": "<image>\nIs there a road?"}, {"from": "gpt", "value": "yes"}]
    assert first == {"id": "1", "image": "LR/Train/1.tif", "conversations": turns}
    assert second == {**first, "id": 0}
    assert manifest["dropped"] == {"system turn or prompt": 1}


def test_boxes_of_ms_swift_stand_in_the_text(tmp_path: Path, imported: Callable) -> None:
    (record, _), _ = imported(ms_swift(tmp_path / "a.jsonl"))
    assert [turn["value"] for turn in record["conversations"]] == ["<image>\nFind the ship.", "[1, 2, 3, 4]"]


@pytest.mark.parametrize(
    "row",
    [
        {"query": "<image>Is it?", "response": "yes", "images": "A/1.png"},
        {"query": "And?", "response": "no", "history": [["Is it?", "yes"]], "images": ["A/1.png"], "system": "s"},
        {"conversation": [{"human": "Is it?", "assistant": "yes"}], "images": [{"path": "A/1.png"}]},
        {"instruction": "Is it?", "input": "", "output": "yes", "images": ["A/1.png"]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": "A/1.png"}, {"type": "text", "text": "Is it?"}],
                },
                {"role": "assistant", "content": "yes"},
            ]
        },
    ],
)
def test_every_layout_of_ms_swift_is_read(tmp_path: Path, imported: Callable, row: dict[str, Any]) -> None:
    (record,), _ = imported([write_lines(tmp_path / "a.jsonl", [row])])
    assert record["image"] == "A/1.png" and record["conversations"][:2] == [ASKED, SAID]


def test_records_of_llava_are_kept_as_they_are(tmp_path: Path, imported: Callable) -> None:
    tagged = {"from": "human", "value": "[vqa] <image>\nIs it?", "question_type": "presence"}
    after = {"from": "human", "value": "Is it?\n<image>"}
    rows = [
        entry(tagged, SAID, task="vqa", split="train", extra={"a": [1]}),
        entry(after, SAID, {"from": "human", "value": "And?"}, {"from": "gpt", "value": "no"}, id=2),
    ]
    assert imported([write(tmp_path / "a.json", rows)])[0] == rows


def test_a_number_as_an_answer_becomes_text(tmp_path: Path, imported: Callable) -> None:
    rows = [entry(ASKED, {"from": "gpt", "value": value}, id=value) for value in (3, 2.5, 4.0)]
    found, _ = imported([write(tmp_path / "a.json", [{**row, "id": i} for i, row in enumerate(rows)])])
    assert [record["conversations"][1]["value"] for record in found] == ["3", "2.5", "4"]


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (entry(image=["A/1.png", "A/2.png"]), "several images"),
        (entry(image=None), "no image: text alone"),
        (entry({"from": "tool", "value": "x"}, SAID), "turn of a role other than human and gpt"),
        (entry(ASKED, {"from": "gpt", "value": None}), "answer or question is neither text nor a number"),
        (entry(ASKED, {"from": "gpt", "value": True}), "answer or question is neither text nor a number"),
        (entry(ASKED), "question without an answer"),
        (entry(SAID), "question without words"),
        (entry(videos=["a.mp4"]), "video or audio"),
        (entry(image="https://host/1.png"), "image is a URL"),
        (entry(image="/data/1.png"), "absolute image path that does not lead below --images"),
        (entry(image="../1.png"), "image path leaves the images folder"),
        (3, "entry is not an object"),
    ],
)
def test_what_cannot_become_a_record_is_counted(tmp_path: Path, imported: Callable, lost: Any, reason: str) -> None:
    records, manifest = imported([write(tmp_path / "a.json", [entry(id="kept"), lost])])
    assert [record["id"] for record in records] == ["kept"] and manifest["dropped"] == {reason: 1}


def test_system_prompts_and_tools_are_counted_and_their_records_kept(tmp_path: Path, imported: Callable) -> None:
    rows = [entry({"from": "system", "value": "s"}, ASKED, SAID), entry(id=2, system="s", tools="[]")]
    records, manifest = imported([write(tmp_path / "a.json", rows)])
    assert [record["conversations"] for record in records] == [[ASKED, SAID]] * 2
    assert manifest["dropped"] == {"system turn or prompt": 2, "description of tools": 1}


OBJECTS = [{"caption": "ship", "bbox": [1, 2, 3, 4], "bbox_type": "real", "image": 0}]


@pytest.mark.parametrize("objects", [OBJECTS, json.dumps(OBJECTS), {"ref": ["ship"], "bbox": [[1, 2, 3, 4]]}])
def test_objects_of_every_version_of_ms_swift_are_put_into_the_text(
    tmp_path: Path, imported: Callable, objects: object
) -> None:
    row = {"query": "Find <bbox>", "response": "<ref-object>", "images": ["a.jpg"], "objects": objects}
    (record,), _ = imported([write_lines(tmp_path / "a.jsonl", [row])])
    assert [turn["value"] for turn in record["conversations"]] == ["<image>\nFind [1, 2, 3, 4]", "ship"]


@pytest.mark.parametrize("objects", [{}, {"ref": ["ship"], "bbox": []}, [], "no JSON", {"ref": [None], "bbox": [[1]]}])
def test_a_box_or_name_that_is_missing_is_no_answer(tmp_path: Path, imported: Callable, objects: object) -> None:
    row = {"query": "Find <ref-object>", "response": "<bbox>", "images": ["a.jpg"], "objects": objects}
    whole = {"query": "Is it?", "response": "yes", "images": ["a.jpg"]}
    records, manifest = imported([write_lines(tmp_path / "a.jsonl", [row, whole])])
    assert len(records) == 1
    assert manifest["dropped"] == {"<ref-object> or <bbox> without a name or box in objects": 1}


def test_a_video_among_the_parts_of_a_message_is_counted(tmp_path: Path, imported: Callable) -> None:
    parts = [
        {"type": "video", "video": "a.mp4"},
        {"type": "image", "image": "a.png"},
        {"type": "text", "text": "Is it?"},
    ]
    said = {"role": "assistant", "content": "yes"}
    rows = [{"messages": [{"role": "user", "content": shown}, said]} for shown in (parts, parts[1:])]
    records, manifest = imported([write_lines(tmp_path / "a.jsonl", rows)])
    assert len(records) == 1 and manifest["dropped"] == {"video or audio": 1}
