"""Records that are too long, next to the golden values of the LLaVA reference."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.locations import ORACLE

from tasks.model.loading import Processor, load_processor
from tasks.training.samples import TOO_LONG, LengthLimit, make_samples


@pytest.fixture(scope="module")
def original() -> Processor:
    return load_processor(ORACLE / "models" / "tiny-llava-v1.5")


def truncated() -> dict[str, Any]:
    return json.loads((ORACLE / "truncation.json").read_text()) if ORACLE.is_dir() else {}


@pytest.mark.parametrize("name", truncated())
def test_long_records_are_truncated_as_in_the_reference_or_split_without_loss(original: Processor, name: str) -> None:
    lines = (ORACLE / "prompts_v1.jsonl").read_text(encoding="utf-8").split("\n")
    case = next((case for case in map(json.loads, filter(None, lines)) if case["id"] == name), None)
    if case is None:
        pytest.skip("its text is not among the golden values")
    golden = truncated()[name]
    for image_tokens in (16, 576):
        expected = golden[f"expanded_{image_tokens}"]
        processor = replace(original, image_tokens=image_tokens)
        cut, _ = make_samples([case], processor, Path(), LengthLimit(2048, split=False))
        assert sum(sample.encoded.supervised_tokens for sample in cut) == expected["n_supervised"]
        assert [sample.length for sample in cut] == ([expected["n"]] if cut else [])
        split, dropped = make_samples([case], processor, Path(), LengthLimit(2048, split=True))
        learned_tokens = sum(sample.encoded.supervised_tokens for sample in split)
        assert learned_tokens == golden["n_raw_supervised"] or dropped[TOO_LONG]
