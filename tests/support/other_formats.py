"""Small data sets in the formats of other tools, as their public files are."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Json = Any
SENTENCES = ("a plane on a runway .", "many planes near a terminal .")


def rsvqa(folder: Path, split: str = "train", name: str = "LR_split_{}_{}.json") -> list[Path]:
    """Questions, answers and images of a split; each file also lists an entry of another split, inactive."""
    kinds = (("rural_urban", "Is it a rural or an urban area", "rural"), ("comp", "Are there more a than b?", "no"))
    kinds = (*kinds, ("count", "How many roads are there?", 3), ("presence", "Is there a road?", "yes"))
    stub = {"id": 99, "active": False}
    questions = [
        {"id": number, "img_id": number // 2, "type": kind, "question": text, "answers_ids": [number], "active": True}
        for number, (kind, text, _) in enumerate(kinds)
    ]
    answers = [
        {"id": number, "question_id": number, "answer": answer, "active": True}
        for number, (_, _, answer) in enumerate(kinds)
    ]
    images = [{"id": number, "original_name": f"{number}.tif", "active": True} for number in range(2)]
    tables = {"questions": questions, "answers": answers, "images": images}
    return [
        write(folder / name.format(split, table), {table: [stub, *rows]}) for table, rows in tables.items()
    ]  # fmt: skip


def karpathy(path: Path, splits: Sequence[str] = ("train", "test")) -> list[Path]:
    """RSICD's layout: an image with two sentences for each split."""
    images = [
        {
            "filename": f"airport_{number}.jpg",
            "imgid": number,
            "split": split,
            "sentids": [2 * number, 2 * number + 1],
            "sentences": [
                {"raw": raw, "tokens": raw.split(), "imgid": number, "sentid": 2 * number + index}
                for index, raw in enumerate(SENTENCES)
            ],
        }
        for number, split in enumerate(splits)
    ]
    return [write(path, {"images": images, "dataset": "rsicd"})]


def nwpu(path: Path) -> list[Path]:
    """NWPU-Captions' layout: a list per class, sentences under raw, raw_1 and so on."""
    image = {"filename": "airport_001.jpg", "imgid": 0, "sentids": [0, 1], "split": "val"}
    return [write(path, {"airport": [{**image, "raw": SENTENCES[0], "raw_1": SENTENCES[1]}]})]


def coco(path: Path) -> list[Path]:
    """COCO captions: an image with two captions."""
    images = [{"id": 7, "file_name": "a.jpg", "width": 1, "height": 1}]
    annotations = [{"id": 70 + index, "image_id": 7, "caption": text} for index, text in enumerate(SENTENCES)]
    return [write(path, {"info": {}, "licenses": [], "images": images, "annotations": annotations, "type": "captions"})]


def geochat(path: Path) -> list[Path]:
    """GeoChat's question file."""
    kinds = (("rural_urban", "rural"), ("comp", "no"), ("presence", "yes"))
    rows = [
        {"question_id": number, "image": f"{number}.tif", "text": f"{kind}?", "category": kind, "ground_truth": answer}
        for number, (kind, answer) in enumerate(kinds)
    ]
    return [write_lines(path, rows)]


def sharegpt(path: Path) -> list[Path]:
    """LLaMA-Factory's ShareGPT layout."""
    turns = [{"from": "human", "value": "<image>Is there a road?"}, {"from": "gpt", "value": "yes"}]
    return [write(path, [{"id": "1", "conversations": turns, "images": ["LR/Train/1.tif"]}])]


def messages(path: Path) -> list[Path]:
    """LLaMA-Factory's OpenAI layout."""
    turns = [{"role": "user", "content": "<image>Is there a road?"}, {"role": "assistant", "content": "yes"}]
    system = {"role": "system", "content": "You look at satellite images."}
    return [write(path, [{"messages": [system, *turns], "images": ["LR/Train/1.tif"]}])]


def ms_swift(path: Path) -> list[Path]:
    """ms-swift's layout, with a box."""
    asked = {"role": "user", "content": "<image>Find the <ref-object>."}
    row = {"messages": [asked, {"role": "assistant", "content": "<bbox>"}], "images": ["DOTA/images/P1.png"]}
    plain = {"messages": [{**asked, "content": "<image>Is it?"}, {"role": "assistant", "content": "yes"}]}
    boxed = {**row, "objects": {"ref": ["ship"], "bbox": [[1, 2, 3, 4]]}}
    return [write_lines(path, [boxed, {**plain, "images": "DOTA/images/P2.png"}])]


def vrsbench(path: Path) -> list[Path]:
    """VRSBench's evaluation layout: a caption, a question and a referring expression."""
    shared = {"image_id": "P0003_0002.png", "dataset": "RSBench"}
    rows = [
        {**shared, "question": "Describe the image in detail", "ground_truth": "two ships", "type": "caption"},
        {**shared, "question": "How many ships?", "ground_truth": 2, "type": "object quantity"},
        {**shared, "question": "The ship at the top", "ground_truth": "{<1><2><3><4>}", "type": "ref"},
    ]
    return [write(path, [{**row, "question_id": number} for number, row in enumerate(rows)])]


# a writer of files for each format, the format, and the number of records
SAMPLES: dict[str, tuple[Callable[[Path], list[Path]], str, int]] = {
    "rsvqa": (lambda folder: rsvqa(folder), "rsvqa", 4),
    "karpathy": (lambda folder: karpathy(folder / "dataset_rsicd.json"), "karpathy", 4),
    "nwpu": (lambda folder: nwpu(folder / "dataset_nwpu.json"), "karpathy", 2),
    "coco": (lambda folder: coco(folder / "captions.json"), "coco", 2),
    "geochat": (lambda folder: geochat(folder / "lrben.jsonl"), "llava-jsonl", 3),
    "sharegpt": (lambda folder: sharegpt(folder / "rs.json"), "sharegpt", 1),
    "messages": (lambda folder: messages(folder / "rs_messages.json"), "sharegpt", 1),
    "ms-swift": (lambda folder: ms_swift(folder / "swift.jsonl"), "ms-swift", 2),
    "vrsbench": (lambda folder: vrsbench(folder / "VRSBench_EVAL.json"), "vrsbench", 3),
}


def write(path: Path, value: Json) -> Path:
    """A file of JSON, on one line as json.dump writes it."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, rows: list[Json]) -> Path:
    """A file of JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
