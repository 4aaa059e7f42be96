"""Every record is used completely, split between turns, or counted with the reason for dropping it."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tasks.errors import DataError
from tasks.model.encoding import IMAGE_INDEX
from tasks.model.loading import Processor
from tasks.record_reader import LONE_SURROGATE, NO_ANSWER, read_records
from tasks.training.samples import (
    CUT,
    EMPTY_ANSWER,
    NO_LAST_ANSWER,
    NO_QUESTION,
    ONE_IMAGE_MODEL,
    OTHER_COUNT,
    TOO_LONG,
    WRONG_ROLES,
    LengthLimit,
    Sample,
    make_samples,
    training_fault,
)


def record(*texts: str, roles: str = "hg", image: str | None = "a.png") -> dict[str, Any]:
    """A record whose turns cycle through `roles`."""
    names = {"h": "human", "g": "gpt"}
    turns = [{"from": names[roles[i % len(roles)]], "value": text} for i, text in enumerate(texts)]
    return {"id": "LR_1", "image": image, "conversations": turns}


def samples_of(
    records: list[Any], processor: Processor, longest: int, split: bool
) -> tuple[list[Sample], Counter[str]]:
    # no image is opened: all have the same number of tokens
    return make_samples(records, processor, Path("nowhere"), LengthLimit(longest, split))


def long_record(rounds: int) -> dict[str, Any]:
    texts = [text for i in range(rounds) for text in (f"How many ships are in part {i}?", f"there are {i} of them")]
    texts[0] = "<image>\n" + texts[0]
    return record(*texts)


def text_of(sample: Sample, processor: Processor) -> str:
    return processor.tokenizer.decode([token for token in sample.encoded.input_ids if token != IMAGE_INDEX])


def learned(sample: Sample, processor: Processor) -> list[str]:
    """The answers in the labels."""
    ids = [label for label in sample.encoded.labels if label != -100]
    return [part.strip() for part in processor.tokenizer.decode(ids).split("</s>") if part]


def test_record_is_one_sample(processor: Processor) -> None:
    samples, dropped = samples_of([record("<image>\nRural?", "yes", "Ships?", "two")], processor, 2048, True)
    assert [learned(sample, processor) for sample in samples] == [["yes", "two"]]
    assert (samples[0].record_id, samples[0].images, dropped) == ("LR_1", ("a.png",), {})
    assert samples[0].length == len(samples[0].encoded.input_ids) + processor.image_tokens - 1


def test_each_round_of_a_model_without_dialogues_is_a_sample_with_the_image(processor: Processor) -> None:
    some = record("<image>\nRural?", "yes", "Ships?", "two", "Roads?", "")
    alone = type("Alone", (type(processor),), {"dialogues": False})(**vars(processor))
    samples, dropped = samples_of([some], alone, 2048, True)
    assert [learned(sample, processor) for sample in samples] == [["yes"], ["two"]]
    assert [sample.encoded.input_ids.count(IMAGE_INDEX) for sample in samples] == [1, 1]
    assert [sample.images for sample in samples] == [("a.png",), ("a.png",)]
    assert dropped == {EMPTY_ANSWER: 1}


def test_record_that_the_processor_refuses_is_named(processor: Processor, tmp_path: Path) -> None:
    def refuse(size: tuple[int, int]) -> int:
        raise DataError(f"The model does not take an image of {size[0]} x {size[1]} pixels: crop it.")

    Image.new("RGB", (300, 1)).save(tmp_path / "a.png")
    narrow = SimpleNamespace(image_tokens=None, dialogues=True, count_tokens=refuse)
    with pytest.raises(DataError, match=r"^Record 'LR_1': The model does not take an image of 300 x 1 pixels: crop"):
        make_samples([record("Rural?", "yes")], narrow, tmp_path, LengthLimit(2048, split=True))


def test_long_record_is_split_between_turns_without_loss(processor: Processor) -> None:
    samples, dropped = samples_of([long_record(60)], processor, 400, True)
    assert len(samples) > 2
    assert all(sample.length <= 400 for sample in samples)
    answers = [answer for sample in samples for answer in learned(sample, processor)]
    assert answers == [f"there are {i} of them" for i in range(60)]
    assert dropped == {}


def test_each_part_has_the_image_and_the_system_text(processor: Processor) -> None:
    samples, _ = samples_of([long_record(60)], processor, 400, True)
    for sample in samples:
        assert sample.encoded.input_ids.count(IMAGE_INDEX) == 1
        assert text_of(sample, processor).startswith("<s>A chat between a curious user")
        assert text_of(sample, processor).count("A chat between") == 1


def test_question_without_placeholder_keeps_its_white_space(processor: Processor) -> None:
    samples, _ = samples_of([record("  Ships?\n", "two")], processor, 2048, True)
    assert "USER: \n  Ships?\n ASSISTANT: two" in text_of(samples[0], processor)


def test_record_is_split_into_as_few_parts_as_possible(processor: Processor) -> None:
    samples, _ = samples_of([long_record(60)], processor, 400, True)
    one_more = samples_of(
        [record("Ships?", "two", "How many ships are in part 9?", "there are 9 of them")], processor, 400, True
    )
    room = one_more[0][0].length - samples_of([record("Ships?", "two")], processor, 400, True)[0][0].length
    assert all(sample.length + room + 2 > 400 for sample in samples[:-1])


def test_long_record_is_truncated_and_counted_without_splitting(processor: Processor) -> None:
    samples, dropped = samples_of([long_record(60)], processor, 400, False)
    whole = samples_of([long_record(60)], processor, 10_000, False)[0][0].encoded
    assert [sample.length for sample in samples] == [400]
    kept = len(samples[0].encoded.input_ids)
    assert samples[0].encoded.input_ids == whole.input_ids[:kept]
    assert samples[0].encoded.labels == whole.labels[:kept]
    assert dropped == {CUT: 1}


@pytest.mark.parametrize("limit", [40, 140])
def test_record_truncated_before_its_first_answer_is_dropped_and_counted(processor: Processor, limit: int) -> None:
    samples, dropped = samples_of([record("<image>\n" + "Tell all. " * 60, "yes")], processor, limit, False)
    assert (samples, dropped) == ([], {TOO_LONG: 1})


def test_too_long_round_is_dropped_and_the_others_are_kept(processor: Processor) -> None:
    texts = ("<image>\nRural?", "yes", "Tell all.", "ship " * 500, "Ships?", "two")
    samples, dropped = samples_of([record(*texts)], processor, 400, True)
    assert [learned(sample, processor) for sample in samples] == [["yes"], ["two"]]
    assert dropped == {TOO_LONG: 1}


def test_empty_answer_is_dropped_and_the_others_are_kept(processor: Processor) -> None:
    texts = ("<image>\nRural?", "yes", "Ships?", "", "Planes?", "one")
    samples, dropped = samples_of([record(*texts)], processor, 2048, True)
    assert learned(samples[0], processor) == ["yes", "one"]
    assert "Ships?" not in text_of(samples[0], processor)
    assert dropped == {EMPTY_ANSWER: 1}


def test_image_is_kept_if_its_round_is_dropped(processor: Processor) -> None:
    samples, _ = samples_of([record("<image>\nRural?", "", "Ships?", "two")], processor, 2048, True)
    assert samples[0].encoded.input_ids.count(IMAGE_INDEX) == 1


def test_record_with_only_empty_answers_is_dropped_and_counted(processor: Processor) -> None:
    samples, dropped = samples_of([record("<image>\nRural?", "", "Ships?", "")], processor, 2048, True)
    assert (samples, dropped) == ([], {EMPTY_ANSWER: 2, NO_ANSWER: 1})


def test_last_question_without_an_answer_is_dropped_and_counted(processor: Processor) -> None:
    samples, dropped = samples_of([record("<image>\nRural?", "yes", "Ships?")], processor, 2048, True)
    assert learned(samples[0], processor) == ["yes"]
    assert dropped == {NO_LAST_ANSWER: 1}


@pytest.mark.parametrize("roles", ["hhg", "hgg", "ghh"])
def test_record_with_wrong_order_of_roles_is_dropped_and_counted(processor: Processor, roles: str) -> None:
    good = record("<image>\nRural?", "yes")
    samples, dropped = samples_of([record("a", "b", "c", "d", roles=roles), good], processor, 2048, True)
    assert [learned(sample, processor) for sample in samples] == [["yes"]]
    assert dropped == {WRONG_ROLES: 1}


@pytest.mark.parametrize(
    "texts",
    [
        ("Rural?", "yes", "Ships?", "two"),
        ("<image>\nRural?", "yes", "<image>\nShips?", "two"),
        ("<image> <image>\nRural?", "yes", "Ships?", "two <image>"),
    ],
    ids=["named nowhere", "named in two turns", "named twice and in an answer"],
)
def test_image_is_shown_exactly_once(processor: Processor, texts: tuple[str, ...]) -> None:
    samples, _ = samples_of([record(*texts)], processor, 2048, True)
    assert samples[0].encoded.input_ids.count(IMAGE_INDEX) == 1
    assert learned(samples[0], processor) == ["yes", "two"]


def test_text_with_a_lone_surrogate_is_dropped_and_counted(processor: Processor) -> None:
    assert samples_of([record("<image>\nRural?", "yes \ud83d")], processor, 2048, True) == ([], {LONE_SURROGATE: 1})


def test_answer_before_the_first_question_is_dropped_as_in_the_reference(processor: Processor) -> None:
    samples, dropped = samples_of([record("hello", "<image>\nRural?", "yes", roles="ghg")], processor, 2048, True)
    assert [learned(sample, processor) for sample in samples] == [["yes"]]
    assert "hello" not in text_of(samples[0], processor)
    assert dropped == {NO_QUESTION: 1}


def test_record_without_an_image_has_no_image_token(processor: Processor) -> None:
    samples, _ = samples_of([record("What is <image> in LLaVA?", "a token", image=None)], processor, 2048, True)
    assert IMAGE_INDEX not in samples[0].encoded.input_ids
    assert "What is <image> in LLaVA?" in text_of(samples[0], processor)


def test_image_stays_in_the_turn_with_its_placeholder(processor: Processor) -> None:
    samples, _ = samples_of([record("Hello", "hi", "<image>\nRural?", "yes")], processor, 2048, True)
    ids = samples[0].encoded.input_ids
    assert "Hello" in processor.tokenizer.decode(ids[: ids.index(IMAGE_INDEX)])


def sized(processor: Processor) -> Any:
    """A processor that takes several images, which have a token for every 10 columns."""
    return SimpleNamespace(
        image_tokens=None,
        several_images=True,
        dialogues=True,
        encode_conversation=processor.encode_conversation,
        count_tokens=lambda size: size[0] // 10,
    )


@pytest.fixture
def two_images(tmp_path: Path) -> Path:
    for name, width in (("a.png", 200), ("b.png", 500)):
        Image.new("RGB", (width, 10)).save(tmp_path / name)
    return tmp_path


def pair(*texts: str) -> Any:
    return {**record(*texts), "image": ["a.png", "b.png"]}


def test_lengths_are_those_of_each_image_by_its_size(processor: Processor, two_images: Path) -> None:
    limit = LengthLimit(2048, split=True)
    some = pair("<image> or <image>?", "the first")
    (sample,), dropped = make_samples([some], sized(processor), two_images, limit)
    assert (sample.images, dropped) == (("a.png", "b.png"), {})
    assert sample.encoded.input_ids.count(IMAGE_INDEX) == 2
    assert sample.length == len(sample.encoded.input_ids) - 2 + 20 + 50


def test_several_images_without_placeholders_come_first(processor: Processor, two_images: Path) -> None:
    samples, _ = make_samples([pair("Which?", "b")], sized(processor), two_images, LengthLimit(2048, True))
    assert "USER: \n\nWhich? ASSISTANT: b" in text_of(samples[0], processor)
    assert samples[0].encoded.input_ids.count(IMAGE_INDEX) == 2


def test_each_part_of_a_long_record_shows_all_its_images(processor: Processor, two_images: Path) -> None:
    texts = [text for i in range(40) for text in (f"How many ships are in part {i}?", f"there are {i} of them")]
    texts[0], texts[2] = "<image>\n" + texts[0], "<image>\n" + texts[2]
    samples, dropped = make_samples([pair(*texts)], sized(processor), two_images, LengthLimit(400, True))
    assert len(samples) > 2
    assert {sample.encoded.input_ids.count(IMAGE_INDEX) for sample in samples} == {2}
    assert all(sample.length <= 400 for sample in samples)
    assert [answer for one in samples for answer in learned(one, processor)] == [
        f"there are {i} of them" for i in range(40)
    ]
    assert dropped == {}


def test_several_images_of_a_model_for_one_are_dropped_and_counted(processor: Processor) -> None:
    assert samples_of([pair("<image><image>?", "b")], processor, 2048, True) == ([], {ONE_IMAGE_MODEL: 1})


def test_other_number_of_placeholders_than_of_images_is_dropped_and_counted(processor: Processor) -> None:
    some = pair("<image>?", "b")
    assert make_samples([some], sized(processor), Path(), LengthLimit(2048, True)) == ([], {OTHER_COUNT: 1})


@pytest.mark.parametrize("image", [["a.png", "../b.png"], ["a.png", "/b.png"], ["a.png", 5]])
def test_each_of_several_images_is_a_path_inside_the_folder(tmp_path: Path, image: list[Any]) -> None:
    (tmp_path / "data.json").write_text(json.dumps([{**pair("?", "b"), "image": image}]))
    with pytest.raises(DataError, match=r"record 1 \(id 'LR_1'\) (has|names) the image"):
        read_records(tmp_path / "data.json", training_fault)


@pytest.mark.parametrize(
    "content",
    [{}, ["text"], [{"id": 1}], [{"conversations": []}], [{"id": "1", "conversations": [{"from": "human"}]}]],
)
def test_reading_names_an_entry_that_is_not_a_record(tmp_path: Path, content: Any) -> None:
    (tmp_path / "data.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"data\.json(: record 1 (is not|\(id .+\) has|has)| has no list of records)"):
        read_records(tmp_path / "data.json", training_fault)
