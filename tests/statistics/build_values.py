"""Rebuild values.npz, the scores per image on which the statistics are simulated, from real captions.

    python tests/statistics/build_values.py INSTRUCTIONS.json OUT.npz

The file holds numbers only: for RSICD, NWPU and UCM, the scores of six kinds of "answers" that are themselves human
captions, by the shipped metrics. It needs Java; it takes half a minute.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from real_values import ANSWERS, SOURCES

from tasks.evaluation.caption_metrics import CaptionSet, cider, rouge_l
from tasks.evaluation.metrics.cider import CiderSpace, mean_similarity
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions

SEED = 16
UCM_IMAGES_PER_CLASS = 100
# answers to questions are shorter
FEWEST_WORDS = 4

Captions = dict[str, list[str]]
Arrays = dict[str, np.ndarray]


def build(instructions: Path) -> Arrays:
    """All arrays of values.npz, from a file of instructions."""
    records = json.loads(instructions.read_text(encoding="utf-8"))
    return {key: array for source in SOURCES for key, array in _of_source(source, records).items()}


def _of_source(source: str, records: Sequence[dict[str, Any]]) -> Arrays:
    captions = _captions(source, records)
    images = tuple(sorted(captions))
    found = {}
    for name, (answers, references) in _answers(source, captions, images).items():
        answered = CaptionSet(source, images, tuple(answers), tuple(map(tuple, references)))
        scores = cider(answered)
        assert scores is not None
        found[f"{source}.CIDEr.{name}"] = scores.each.round(4).astype(np.float32)
        found[f"{source}.ROUGE-L.{name}"] = rouge_l(answered).each.round(4).astype(np.float32)
        found[f"{source}.BLEU.{name}"] = answered.bleu_counts.astype(np.uint8)
    return found


def _captions(source: str, records: Sequence[dict[str, Any]]) -> Captions:
    """The captions of each image in PTB tokens."""
    texts: Captions = defaultdict(list)
    for record in records:
        said = [turn["value"] for turn in record["conversations"] if turn["from"] == "gpt" and turn["value"].strip()]
        if record["image"].startswith(f"{source}/") and np.mean([len(text.split()) for text in said]) >= FEWEST_WORDS:
            texts[record["image"]] += said
    tokens = iter(tokenize_captions([text for group in texts.values() for text in group]))
    return {image: [next(tokens) for _ in group] for image, group in texts.items()}


def _answers(source: str, captions: Captions, images: Sequence[str]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """The six kinds of answers with the references that each is scored against; ANSWERS describes them."""
    random = np.random.default_rng(SEED)
    space = CiderSpace([captions[image] for image in images])
    members: dict[str, list[str]] = defaultdict(list)
    for image in images:
        members[_class_of(source, image)].append(image)

    def agreement(text: str, others: Sequence[str]) -> float:
        return mean_similarity(space.vector(text), [space.vector(other) for other in others])

    def peer(image: str) -> str:
        others = [other for other in members[_class_of(source, image)] if other != image] or [image]
        return str(random.choice(captions[str(random.choice(others))]))

    consensus = {name: _consensus(captions, group, agreement) for name, group in members.items()}
    every = [captions[image] for image in images]
    left_out = [int(random.integers(len(group))) for group in every]
    best = [
        max((peer(image) for _ in range(5)), key=lambda text: agreement(text, captions[image][:2])) for image in images
    ]
    found = {
        "peer": [peer(image) for image in images],
        "second_peer": [peer(image) for image in images],
        "best_of_five": best,
        "class_consensus": [consensus[_class_of(source, image)] for image in images],
        "any_image": [captions[str(random.choice(images))][0] for _ in images],
    }
    assert {*found, "human"} == {*ANSWERS}
    human = [group[index] for group, index in zip(every, left_out, strict=True)]
    others = [group[:index] + group[index + 1 :] for group, index in zip(every, left_out, strict=True)]
    return {**{name: (answers, every) for name, answers in found.items()}, "human": (human, others)}


def _consensus(captions: Captions, images: Sequence[str], agreement: Callable[[str, Sequence[str]], float]) -> str:
    """The caption that agrees most with those of the class; the first images are enough."""
    others = [text for image in images[:25] for text in captions[image][:2]]
    return max(
        (text for image in images[:12] for text in captions[image][:2]), key=lambda text: agreement(text, others)
    )


def _class_of(source: str, image: str) -> str:
    name = Path(image).stem
    return str((int(name) - 1) // UCM_IMAGES_PER_CLASS) if source == "UCM" else re.split(r"_\d+", name)[0]


if __name__ == "__main__":
    np.savez_compressed(sys.argv[2], **build(Path(sys.argv[1])))
