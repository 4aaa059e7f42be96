"""The prompt is LLaVA 1.5's, token for token."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import DataError
from tasks.model.loading import Reader, load_reader
from tasks.model.prompt import (
    IGNORE_INDEX,
    IMAGE_INDEX,
    SYSTEM,
    Turn,
    encode_conversation,
    encode_prompt,
    expand_images,
    place_image,
)

ORACLE = Path(__file__).resolve().parents[3].parent / "shared" / "oracle"
DIALOGUE: list[Turn] = [
    ("human", "<image>\nIs it rural?"),
    ("gpt", "rural"),
    ("human", "How many ships?"),
    ("gpt", "two"),
]
# Where we differ from the reference, and why.
OTHER_TOKENS = {
    "whitespace_009": "several spaces are one piece of our tokenizer's vocabulary",
    "whitespace_019": "several spaces are one piece of our tokenizer's vocabulary",
    "empty_000": "the reference fuses a round with an empty answer with the next",
    "empty_002": "the reference fuses a round with an empty answer with the next",
    "empty_004": "an empty question",
    "empty_006": "an empty question and answer",
    "image_pos_011": "<image> in the middle of an answer",
    "text_only_006": "a literal <image> in a record without an image",
    "text_only_008": "the reference fuses a round with an empty answer with the next",
}
OTHER_LABELS = {
    "special_001": "the reference throws away the labels of an answer with </s>",
    "special_003": "the reference throws away the labels of an answer with <unk>",
    "special_005": "the reference throws away the labels of an answer with ' ASSISTANT: '",
    "special_009": "the reference cuts an answer at ' ASSISTANT: '",
    "special_011": "the reference throws away the labels of an answer with <unk>",
}
REFUSED = {
    "structure_001": "the first turn is not a question; samples drop it with a reason",
    "structure_003": "a turn of another role; the reference ends with a KeyError",
}


def cases() -> list[dict[str, Any]]:
    if not ORACLE.is_dir():
        return []
    return [json.loads(line) for line in (ORACLE / "prompts_v1.jsonl").read_text(encoding="utf-8").split("\n") if line]


def asked() -> list[dict[str, Any]]:
    return [case for case in cases() if case.get("infer_ids") and case["id"] not in REFUSED]


def turns_of(case: dict[str, Any]) -> list[Turn]:
    return [(turn["from"], place_image(turn["value"])) for turn in case["conversations"]]


@pytest.fixture(scope="module")
def reader(tiny_model_dir: Path) -> Reader:
    return load_reader(tiny_model_dir)


@pytest.fixture(scope="module")
def llama() -> Any:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    from transformers import LlamaTokenizer

    return LlamaTokenizer.from_pretrained(ORACLE / "models" / "tiny-llava-v1.5")


def test_small_values_are_pinned(reader: Reader) -> None:
    encoded = encode_conversation(reader.tokenizer, DIALOGUE)
    before = [1, *reader.tokenizer.encode(SYSTEM + "USER: ", add_special_tokens=False)]
    question = [203, 298, 356, 375, 35, 404, 30]  # \n Is it rural? ASSISTANT:
    second = [302, 30, 225, 378, 392, 399, 35, 404, 30]  # USER: How many ships? ASSISTANT:
    ids = [*before, IMAGE_INDEX, *question, 375, 2, *second, 388, 2]  # rural</s>, two</s>
    assert len(before) == 72
    assert encoded.input_ids == ids
    ignored = [IGNORE_INDEX] * (len(before) + 1 + len(question))
    assert encoded.labels == [*ignored, 375, 2, *[IGNORE_INDEX] * len(second), 388, 2]
    assert encoded.supervised_tokens == 4


def test_a_prompt_is_the_conversation_up_to_the_answer(reader: Reader) -> None:
    whole = encode_conversation(reader.tokenizer, DIALOGUE).input_ids
    asked = encode_prompt(reader.tokenizer, DIALOGUE[:3], reader.image_token_id, 5)
    assert asked == expand_images(whole[:-2], reader.image_token_id, 5)
    assert asked.count(reader.image_token_id) == 5


def test_the_image_goes_to_the_front_of_its_turn() -> None:
    assert place_image("What is <image> this?") == "<image>\nWhat is  this?"
    assert place_image("<image>") == "<image>"
    assert place_image("no picture") == "no picture"


@pytest.mark.parametrize("roles", [["gpt", "human"], ["human"], ["human", "human"], ["human", "gpt", "gpt", "human"]])
def test_turns_that_do_not_alternate_are_refused(reader: Reader, roles: list[str]) -> None:
    with pytest.raises(DataError, match="alternate"):
        encode_conversation(reader.tokenizer, [(role, "text") for role in roles])


def test_a_prompt_must_end_with_a_question(reader: Reader) -> None:
    with pytest.raises(DataError, match="end with a human turn"):
        encode_prompt(reader.tokenizer, DIALOGUE, reader.image_token_id, 1)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_training_tokens_are_the_references(llama: Any, case: dict[str, Any]) -> None:
    name = case["id"]
    if name in REFUSED:
        with pytest.raises(DataError):
            encode_conversation(llama, turns_of(case))
        return
    encoded = encode_conversation(llama, turns_of(case))
    assert (encoded.input_ids == case["input_ids"]) == (name not in OTHER_TOKENS)
    if name not in OTHER_TOKENS:
        assert (encoded.labels == case["labels"]) == (name not in OTHER_LABELS)


@pytest.mark.parametrize("case", asked(), ids=lambda case: case["id"])
def test_the_prompt_of_an_answer_is_the_references(llama: Any, case: dict[str, Any]) -> None:
    turns = turns_of(case)
    last = max(number for number, (role, _) in enumerate(turns) if role == "human")
    same = encode_prompt(llama, turns[: last + 1], IMAGE_INDEX, 1) == case["infer_ids"]
    assert same == (case["id"] not in ("empty_004", "empty_006", "text_only_006"))


def test_golden_values_are_there(llama: Any) -> None:
    assert len(cases()) == 105
