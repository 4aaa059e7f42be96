"""Tokens, pixels, labels and batches equal those of transformers' own processors, for each generic family."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import pytest
import torch
from PIL import Image
from support.tiny_processors import MEMBERS, Pair, tiny_processor
from tokenizers import AddedToken

from tasks.errors import DataError, ModelError
from tasks.model.chat.processor import load_chat_processor
from tasks.model.encoding import IGNORE_INDEX, IMAGE_INDEX, Turn
from tasks.model.inputs import batch_of, prompt_row, sample_row

QUESTION, ANSWER = "Is there a road?", "Yes, there are two."
SEVERAL = [member for member in MEMBERS if member not in ("llava_onevision", "paligemma")]
# their published templates write given answers differently from how they prompt for them
EXACT = [member for member in SEVERAL if member != "llava_next"]


def own_text(pair: Pair, turns: Sequence[tuple[str, str]], images: int, prompt: bool = True) -> str:
    """The prompt that transformers' users write: its chat template, or PaliGemma's image tokens and question."""
    if pair.own.chat_template is None:
        return pair.own.image_token * images + turns[0][1]
    messages = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in turns]
    messages[0]["content"] = [*[{"type": "image"}] * images, *messages[0]["content"]]
    return pair.own.apply_chat_template(messages, add_generation_prompt=prompt)


def own_inputs(pair: Pair, text: str, images: list[Image.Image]) -> dict[str, Any]:
    return dict(pair.own(text=[text], images=images, return_tensors="pt"))


def expect_equal(ours: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> None:
    assert set(ours) == set(own)
    for name, value in own.items():
        assert ours[name].shape == value.shape, name
        assert torch.equal(ours[name], torch.as_tensor(value)), name


def test_prompt_and_pixels_equal_transformers_own(pair: Pair, photos: list[Image.Image]) -> None:
    for photo in photos:
        row = prompt_row(pair.ours.encode_prompt([("human", f"<image>\n{QUESTION}")]), [pair.ours.prepare(photo)])
        own = own_inputs(pair, own_text(pair, [("user", QUESTION)], 1), [photo])
        # PaliGemma's own processor writes labels of a prompt as well
        own.pop("labels", None)
        expect_equal(batch_of([row], pair.ours), own)


@pytest.mark.parametrize("member", SEVERAL)
def test_two_images_equal_transformers_own(
    member: str, pair_of: Callable[[str], Pair], photos: list[Image.Image]
) -> None:
    pair = pair_of(member)
    ids = pair.ours.encode_prompt([("human", f"<image>\n<image>\n{QUESTION}")], images=2)
    row = prompt_row(ids, [pair.ours.prepare(photo) for photo in photos[:2]])
    expect_equal(batch_of([row], pair.ours), own_inputs(pair, own_text(pair, [("user", QUESTION)], 2), photos[:2]))


@pytest.mark.parametrize("member", EXACT)
def test_rounds_equal_transformers_own_and_answers_alone_are_supervised(
    member: str, pair_of: Callable[[str], Pair], photos: list[Image.Image]
) -> None:
    pair = pair_of(member)
    turns: list[Turn] = [("human", f"<image>\n{QUESTION}"), ("gpt", ANSWER), ("human", "How many?"), ("gpt", "2")]
    own_turns = [("user" if role == "human" else "assistant", text.split("\n")[-1]) for role, text in turns]
    encoded = pair.ours.encode_conversation(turns)
    row = sample_row(encoded, [pair.ours.prepare(photos[0])])
    batch = batch_of([row], pair.ours)
    labels = batch.pop("labels")[0]
    expect_equal(batch, own_inputs(pair, own_text(pair, own_turns, 1, prompt=False), photos[:1]))
    end = pair.own.tokenizer.eos_token
    assert [text.strip() for text in answers_of(pair, labels)] == [f"{ANSWER}{end}", f"2{end}"]
    # the prompt of the second answer is what was trained before it
    prompt = pair.ours.encode_prompt(turns[:3])
    assert encoded.input_ids[: len(prompt)] == prompt
    assert encoded.labels[len(prompt)] == encoded.input_ids[len(prompt)] != IGNORE_INDEX


def answers_of(pair: Pair, labels: torch.Tensor) -> list[str]:
    """The text of each run of supervised tokens."""
    runs: list[list[int]] = [[]]
    for label in labels.tolist():
        if label != IGNORE_INDEX:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [pair.own.tokenizer.decode(run) for run in runs if run]


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (
            "llava_onevision",
            f"<|im_start|>user <image>\n{QUESTION}<|im_end|><|im_start|>assistant\n{ANSWER}<|im_end|>"
            "<|im_start|>user \nHow many?<|im_end|><|im_start|>assistant\n2<|im_end|>",
        ),
        ("llava_next", f"[INST] <image>\n{QUESTION} [/INST] {ANSWER}</s>[INST] How many? [/INST] 2</s>"),
    ],
)
def test_given_answers_are_written_as_the_model_gives_them(
    member: str, text: str, pair_of: Callable[[str], Pair]
) -> None:
    pair = pair_of(member)
    turns: list[Turn] = [("human", f"<image>\n{QUESTION}"), ("gpt", ANSWER), ("human", "How many?"), ("gpt", "2")]
    assert pair.ours.render(turns) == text
    encoded = pair.ours.encode_conversation(turns)
    tokens = pair.own.tokenizer(text).input_ids
    assert [pair.own.image_token_id if token == IMAGE_INDEX else token for token in encoded.input_ids] == tokens
    assert [found.strip() for found in answers_of(pair, torch.tensor(encoded.labels))] == [
        f"{ANSWER}{pair.own.tokenizer.eos_token}",
        f"2{pair.own.tokenizer.eos_token}",
    ]


def test_paligemma_equals_its_own_processor_with_suffix(
    pair_of: Callable[[str], Pair], photos: list[Image.Image]
) -> None:
    pair = pair_of("paligemma")
    encoded = pair.ours.encode_conversation([("human", f"<image>\n{QUESTION}"), ("gpt", ANSWER)])
    batch = batch_of([sample_row(encoded, [pair.ours.prepare(photos[0])])], pair.ours)
    own = pair.own(text=[f"<image>{QUESTION}"], suffix=[ANSWER], images=photos[:1], return_tensors="pt")
    expect_equal(batch, dict(own))
    with pytest.raises(DataError, match="ask each question alone"):
        pair.ours.encode_conversation([("human", "<image>\na"), ("gpt", "b"), ("human", "c"), ("gpt", "d")])


def test_batch_of_different_sizes_equals_transformers_own(pair: Pair, photos: list[Image.Image]) -> None:
    questions = [QUESTION, "Describe the image.", "Where?"]
    rows = [
        prompt_row(pair.ours.encode_prompt([("human", f"<image>\n{question}")]), [pair.ours.prepare(photo)])
        for question, photo in zip(questions, photos, strict=True)
    ]
    texts = [own_text(pair, [("user", question)], 1) for question in questions]
    for side in ("left", "right"):
        # a list for each text: processors take a flat one in different ways
        own = pair.own(
            text=texts, images=[[photo] for photo in photos], padding=True, padding_side=side, return_tensors="pt"
        )
        own.pop("labels", None)
        expect_equal(batch_of(rows, pair.ours, side=side), dict(own))


@pytest.mark.parametrize("member", ["idefics3", "smolvlm"])
def test_rows_with_different_numbers_of_images(
    member: str, pair_of: Callable[[str], Pair], photos: list[Image.Image]
) -> None:
    pair = pair_of(member)
    rows, texts = [], []
    shown = [photos[:2], [], photos[2:]]
    for images in shown:
        question = "<image>\n" * len(images) + QUESTION
        ids = pair.ours.encode_prompt([("human", question)], images=len(images))
        rows.append(prompt_row(ids, [pair.ours.prepare(image) for image in images]))
        texts.append(own_text(pair, [("user", QUESTION)], len(images)))
    own = pair.own(text=texts, images=shown, padding=True, padding_side="right", return_tensors="pt")
    expect_equal(batch_of(rows, pair.ours), dict(own))


def test_tokens_are_counted_without_pixels(pair: Pair) -> None:
    draw = Random(3)
    sizes = [(draw.randint(1, 400), draw.randint(3, 300)) for _ in range(30)]
    for size in [*sizes, (1, 1), (3, 3), (1, 3), (3, 1), (1000, 40)]:
        made = len(pair.ours.prepare(Image.new("RGB", size)).token_ids)
        assert pair.ours.count_tokens(size) == made, size


def test_tokens_are_counted_where_transformers_miscounts(tmp_path: Path) -> None:
    own = tiny_processor("idefics3", tmp_path)
    own.image_processor.size = {"longest_edge": 100}
    own.save_pretrained(tmp_path)
    ours = load_chat_processor(tmp_path)
    draw = Random(0)
    for _ in range(40):
        size = (draw.randint(1, 400), draw.randint(3, 300))
        assert ours.count_tokens(size) == len(ours.prepare(Image.new("RGB", size)).token_ids)


def test_an_image_that_a_model_does_not_take(pair_of: Callable[[str], Pair]) -> None:
    ours = pair_of("qwen2_5_vl").ours
    for take in (lambda: ours.count_tokens((2010, 10)), lambda: ours.prepare(Image.new("RGB", (2010, 10)))):
        with pytest.raises(DataError, match="does not take an image of 2010 x 10 pixels"):
            take()


def test_control_tokens_in_texts_stay_text(pair: Pair) -> None:
    tokenizer = pair.own.tokenizer
    controls = " ".join([tokenizer.eos_token, pair.own.image_token, tokenizer.pad_token])
    turns = [("human", f"<image>\nWhat is {controls.replace('<image>', '')}?"), ("gpt", f"It is {controls}, a token.")]
    plain = [("human", "<image>\nWhat is it?"), ("gpt", "It is a token.")]
    special = set(tokenizer.all_special_ids)

    def numbers(encoded: Any) -> list[int]:
        return [token for token in encoded.input_ids if token in special or token == IMAGE_INDEX]

    encoded = pair.ours.encode_conversation(turns)
    assert numbers(encoded) == numbers(pair.ours.encode_conversation(plain))
    (answer,) = answers_of(pair, torch.tensor(encoded.labels))
    assert answer.strip() == f"It is {controls}, a token.{tokenizer.eos_token}"


def test_without_images_a_placeholder_is_text(pair: Pair) -> None:
    ids = pair.ours.encode_prompt([("human", "What does <image> mean?")], images=0)
    assert IMAGE_INDEX not in ids and pair.own.image_token_id not in ids
    assert "What does <image> mean?" in pair.own.tokenizer.decode(ids)


def test_wrong_turns_and_placeholders(pair: Pair) -> None:
    ours = pair.ours
    for turns in ([("gpt", "a")], [("human", "<image>\na"), ("human", "b")]):
        with pytest.raises(DataError, match=r"must alternate|must end"):
            ours.encode_prompt(turns, images=0)
    with pytest.raises(DataError, match="must end with a gpt turn"):
        ours.encode_conversation([("human", "<image>\na")])
    with pytest.raises(DataError, match="must end with a human turn"):
        ours.encode_prompt([("human", "<image>\na"), ("gpt", "b")])
    with pytest.raises(DataError, match="0 image placeholders for 1 images"):
        ours.encode_prompt([("human", "a")])


@pytest.mark.parametrize("member", ["llava_onevision", "paligemma"])
def test_several_images_are_refused(member: str, pair_of: Callable[[str], Pair]) -> None:
    with pytest.raises(DataError, match="prepares one image in a conversation, not 2"):
        pair_of(member).ours.encode_prompt([("human", "<image>\n<image>\na")], images=2)


@pytest.mark.parametrize("member", ["qwen2_5_vl", "llava_onevision"])
def test_another_image_token_in_the_configuration_is_refused(
    member: str, tiny_family_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copytree(tiny_family_dir(member), tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    names = {"image_token_id", "image_token_index"} & settings.keys()
    (folder / "config.json").write_text(json.dumps({**settings, **dict.fromkeys(names, 5)}))
    with pytest.raises(
        ModelError, match=r"The image token of .*config\.json is 5, and its processor's is 31\d: copy both"
    ):
        load_chat_processor(folder)


def test_an_answer_that_merges_with_its_prompt_is_refused(tmp_path: Path) -> None:
    own = tiny_processor("qwen3_vl", tmp_path)
    merged = own.tokenizer.backend_tokenizer
    merged.add_tokens([AddedToken("\n\n", normalized=False)])
    own.save_pretrained(tmp_path)
    ours = load_chat_processor(tmp_path)
    with pytest.raises(DataError, match="an answer must not start with white space"):
        ours.encode_conversation([("human", "<image>\na"), ("gpt", "\nb")])


def test_a_blank_image_is_one(pair: Pair) -> None:
    blank = pair.ours.blank_image()
    assert pair.own.image_token_id in blank.token_ids
    batch = pair.ours.batch_images([[blank], []])
    assert torch.isfinite(batch["pixel_values"]).all()


def test_images_are_prepared_in_threads_alike(pair: Pair, photos: list[Image.Image]) -> None:
    first = [pair.ours.prepare(photo) for photo in photos]
    with ThreadPoolExecutor(8) as pool:
        for number, inputs in enumerate(pool.map(pair.ours.prepare, photos * 8)):
            expected = first[number % len(photos)]
            assert inputs.token_ids == expected.token_ids
            assert all(torch.equal(inputs.tensors[name], value) for name, value in expected.tensors.items())


def test_saved_files_load_with_the_same_tokens_and_pixels(
    pair: Pair, photos: list[Image.Image], tmp_path: Path
) -> None:
    pair.ours.save(tmp_path)
    again = load_chat_processor(tmp_path)
    turns = [("human", f"<image>\n{QUESTION} <|im_end|>"), ("gpt", ANSWER)]
    assert again.encode_conversation(turns) == pair.ours.encode_conversation(turns)
    rows = [prompt_row([IMAGE_INDEX], [each.prepare(photos[0])]) for each in (pair.ours, again)]
    expect_equal(*(batch_of([row], pair.ours) for row in rows))


@pytest.mark.parametrize("member", ["llava_next", "idefics3", "paligemma"])
def test_saved_files_load_in_transformers_auto_processor(
    member: str, pair_of: Callable[[str], Pair], photos: list[Image.Image], tmp_path: Path
) -> None:
    # the others' processors have a part for videos, which needs torchvision
    from transformers import AutoProcessor

    pair = pair_of(member)
    pair.ours.save(tmp_path)
    saved = pair._replace(own=AutoProcessor.from_pretrained(tmp_path, backend="pil"))
    text = own_text(pair, [("user", QUESTION)], 1)
    expect_equal(own_inputs(saved, text, photos[:1]), own_inputs(pair, text, photos[:1]))
