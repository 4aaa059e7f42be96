"""The prompt equals LLaVA 1.5's, token for token."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.locations import ORACLE

from tasks.errors import DataError
from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, Turn, expand_images
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER, SYSTEM, encode_conversation, encode_prompt
from tasks.model.llava.tokenizer import load_original_tokenizer
from tasks.model.loading import load_processor
from tasks.model.processor import Processor
from tasks.prompt_text import placeholder_first

DIALOGUE: list[Turn] = [
    ("human", "<image>\nIs it rural?"),
    ("gpt", "rural"),
    ("human", "How many ships?"),
    ("gpt", "two"),
]
# Where the reference is wrong, by its README, and what rsvlm does instead.
WITHOUT_ANSWER = {
    "empty_000": "an empty answer is not learned: samples leave the turn out",
    "empty_002": "an empty answer is not learned: samples leave the turn out",
    "text_only_008": "an empty answer is not learned: samples leave the turn out",
}
LABELS_LOST = {
    "empty_006": "an empty question",
    "special_001": "a question with </s>",
    "special_003": "an answer with <unk>",
    "special_005": "an answer with ' ASSISTANT: '",
    "special_009": "a question with ' ASSISTANT:', which is learned as if it were the answer",
    "special_011": "a question with <unk>",
}
REFUSED = {
    "structure_001": "a last question without an answer: samples leave it out",
    "structure_003": "a turn of another role: the reference ends with a KeyError; samples drop the record",
}


def cases() -> list[dict[str, Any]]:
    if not ORACLE.is_dir():
        return []
    return [json.loads(line) for line in (ORACLE / "prompts_v1.jsonl").read_text(encoding="utf-8").split("\n") if line]


def has_image(case: dict[str, Any]) -> bool:
    return bool(case.get("image"))


def turns_of(case: dict[str, Any]) -> list[Turn]:
    return [
        (turn["from"], placeholder_first(turn["value"]) if has_image(case) else turn["value"])
        for turn in case["conversations"]
        if turn["from"] in ("human", "gpt")
    ]


@pytest.fixture(scope="module")
def processor(tiny_model_dir: Path) -> Processor:
    return load_processor(tiny_model_dir)


@pytest.fixture(scope="module")
def llama() -> Any:
    if not ORACLE.is_dir():
        pytest.skip("golden values not present")
    return load_original_tokenizer(ORACLE / "models" / "tiny-llava-v1.5")


def test_ids_and_labels_of_a_small_conversation(processor: Processor) -> None:
    encoded = encode_conversation(processor.tokenizer, DIALOGUE)
    before = [1, *processor.tokenizer.encode(SYSTEM + "USER: ", add_special_tokens=False)]
    question = [203, 298, 356, 375, 35, 404, 30]  # \n Is it rural? ASSISTANT:
    second = [302, 30, 225, 378, 392, 399, 35, 404, 30]  # USER: How many ships? ASSISTANT:
    ids = [*before, IMAGE_INDEX, *question, 375, 2, *second, 388, 2]  # rural</s>, two</s>
    assert len(before) == 72
    assert encoded.input_ids == ids
    ignored = [IGNORE_INDEX] * (len(before) + 1 + len(question))
    assert encoded.labels == [*ignored, 375, 2, *[IGNORE_INDEX] * len(second), 388, 2]
    assert encoded.supervised_tokens == 4


def test_a_prompt_equals_the_conversation_up_to_the_answer(processor: Processor) -> None:
    whole = encode_conversation(processor.tokenizer, DIALOGUE).input_ids
    asked = encode_prompt(processor.tokenizer, DIALOGUE[:3])
    assert asked == whole[:-2]
    shown = [processor.image_token_id] * 5
    assert expand_images(asked, [shown]).count(processor.image_token_id) == 5


@pytest.mark.parametrize("roles", [["gpt", "human"], ["human"], ["human", "human"], ["human", "gpt", "gpt", "human"]])
def test_turns_that_do_not_alternate_are_refused(processor: Processor, roles: list[str]) -> None:
    with pytest.raises(DataError, match="alternate"):
        encode_conversation(processor.tokenizer, [(role, "text") for role in roles])


def test_a_prompt_must_end_with_a_question(processor: Processor) -> None:
    with pytest.raises(DataError, match="end with a human turn"):
        encode_prompt(processor.tokenizer, DIALOGUE)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_training_tokens_equal_the_reference(llama: Any, case: dict[str, Any]) -> None:
    name, turns = case["id"], [(turn["from"], turn["value"]) for turn in case["conversations"]]
    if name in REFUSED:
        with pytest.raises(DataError):
            encode_conversation(llama, turns, has_image(case))
        return
    encoded = encode_conversation(llama, turns_of(case), has_image(case))
    assert (encoded.input_ids == case["input_ids"]) == (name not in WITHOUT_ANSWER)
    assert (encoded.labels == case["labels"]) == (name not in {*WITHOUT_ANSWER, *LABELS_LOST})


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_prompt_tokens_equal_the_reference(llama: Any, case: dict[str, Any]) -> None:
    turns = turns_of(case)
    last = max(number for number, (role, _) in enumerate(turns) if role == "human")
    assert encode_prompt(llama, turns[: last + 1]) == case["infer_ids"]
    first = turns[0][1].replace(IMAGE_PLACEHOLDER, "").strip()
    shown = [("human", f"{IMAGE_PLACEHOLDER}\n{first}")]
    assert encode_prompt(llama, shown) == case["infer_first_ids"]


def test_every_nonempty_answer_is_supervised(llama: Any) -> None:
    for case in cases():
        if case["id"] not in REFUSED:
            encoded = encode_conversation(llama, turns_of(case), has_image(case))
            learned = llama.decode([label for label in encoded.labels if label >= 0])
            answers = [text.rpartition(IMAGE_PLACEHOLDER)[2] for role, text in turns_of(case) if role == "gpt"]
            assert all(answer.strip() in learned for answer in answers), case["id"]


def test_without_an_image_the_placeholder_is_text(processor: Processor) -> None:
    turns = [("human", "What is <image>?"), ("gpt", "a name"), ("human", "And <image>?"), ("gpt", "the same")]
    encoded = encode_conversation(processor.tokenizer, turns, has_image=False)
    assert IMAGE_INDEX not in encoded.input_ids
    assert processor.image_token_id not in encoded.input_ids
    text = processor.tokenizer.decode(encoded.input_ids)
    assert text.endswith("USER: What is <image>? ASSISTANT: a name</s>USER: And <image>? ASSISTANT: the same</s>")


def test_golden_values_are_there(llama: Any) -> None:
    assert len(cases()) == 105
