"""A batch has expanded image tokens, and padding without attention or labels."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tasks.errors import DataError
from tasks.model.encoding import IGNORE_INDEX
from tasks.model.inputs import batch_of
from tasks.model.loading import Processor, load_base
from tasks.training.collator import Collator, SampleDataset
from tasks.training.samples import LengthLimit, make_samples


def dataset(processor: Processor, images: Path, answers: list[str], image: str | None = "a.png") -> SampleDataset:
    records = [
        {
            "id": str(number),
            "image": image,
            "conversations": [{"from": "human", "value": "<image>\nRural?"}, {"from": "gpt", "value": answer}],
        }
        for number, answer in enumerate(answers)
    ]
    Image.new("RGB", (20, 10), (255, 0, 0)).save(images / "a.png")
    samples, _ = make_samples(records, processor, images, LengthLimit(2048, split=True))
    return SampleDataset(samples, images, processor)


def test_image_has_one_token_per_patch_of_the_tower(processor: Processor, tmp_path: Path) -> None:
    samples = dataset(processor, tmp_path, ["yes"])
    item = samples[0]
    assert item.ids.count(processor.image_token_id) == processor.image_tokens == 64
    assert len(item.ids) == len(item.labels) == samples.samples[0].length
    assert item.images[0].tensors["pixel_values"].shape == (1, 3, 64, 64)


def test_only_the_answer_and_its_end_token_have_labels(processor: Processor, tmp_path: Path) -> None:
    item = dataset(processor, tmp_path, ["rural"])[0]
    learned = [label for label in item.labels if label != IGNORE_INDEX]
    assert processor.tokenizer.decode(learned) == " rural</s>"
    assert item.ids[-len(learned) :] == learned


def test_record_without_an_image_has_no_pixels(processor: Processor, tmp_path: Path) -> None:
    item = dataset(processor, tmp_path, ["yes"], image=None)[0]
    assert item.images == []
    assert processor.image_token_id not in item.ids


def test_shorter_items_are_padded_on_the_right_and_the_padding_is_masked(processor: Processor, tmp_path: Path) -> None:
    samples = dataset(processor, tmp_path, ["yes", "a harbour with many ships beside the sea"])
    short, long = samples[0], samples[1]
    batch = Collator(processor)([short, long])
    width, used = len(long.ids), len(short.ids)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape == (2, width)
    assert batch["input_ids"][0, :used].tolist() == short.ids
    assert set(batch["input_ids"][0, used:].tolist()) == {processor.tokenizer.pad_token_id}
    assert set(batch["labels"][0, used:].tolist()) == {IGNORE_INDEX}
    assert batch["attention_mask"].sum(dim=1).tolist() == [used, width]
    assert batch["pixel_values"].shape == (2, 3, 64, 64)


def test_batch_without_images_has_no_pixels(processor: Processor, tmp_path: Path) -> None:
    samples = dataset(processor, tmp_path, ["yes", "no"], image=None)
    assert "pixel_values" not in batch_of([samples[0], samples[1]], processor)


def test_blank_image_gives_the_projector_zero_gradient_and_changes_no_loss(
    processor: Processor, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = load_base(tiny_model_dir, torch.float32)
    samples = dataset(processor, tmp_path, ["yes", "a harbour with many ships beside the sea"], image=None)
    items = [samples[0], samples[1]]
    bare, blank = batch_of(items, processor), Collator(processor)(items)
    expected = model(**bare).loss
    found = model(**blank).loss
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    found.backward()
    gradients = [p.grad for name, p in model.named_parameters() if "multi_modal_projector" in name]
    assert len(gradients) == 4
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_blank_image_is_not_added_to_a_batch_with_images(processor: Processor, tmp_path: Path) -> None:
    items = [dataset(processor, tmp_path, ["yes"])[0], dataset(processor, tmp_path, ["no"], image=None)[0]]
    ours, plain = Collator(processor)(items), batch_of(items, processor)
    assert all(torch.equal(ours[name], plain[name]) for name in plain)


def test_padding_changes_no_loss(processor: Processor, tiny_model_dir: Path, tmp_path: Path) -> None:
    model = load_base(tiny_model_dir, torch.float32)
    samples = dataset(processor, tmp_path, ["yes", "a harbour with many ships beside the sea"])
    collate = Collator(processor)
    with torch.no_grad():
        alone = model(**collate([samples[0]])).logits[0]
        padded = model(**collate([samples[0], samples[1]])).logits[0, : alone.shape[0]]
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)


def test_unreadable_image_is_named(processor: Processor, tmp_path: Path) -> None:
    samples = dataset(processor, tmp_path, ["yes"])
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png is not a readable image"):
        samples[0]


def test_batch_holds_all_images_of_its_rows_in_order(processor: Processor, tmp_path: Path) -> None:
    dataset(processor, tmp_path, ["yes"])
    Image.new("RGB", (20, 10), (0, 255, 0)).save(tmp_path / "b.png")
    turns = [{"from": "human", "value": "<image> or <image>?"}, {"from": "gpt", "value": "both"}]
    records: list[Any] = [
        {"id": "1", "image": image, "conversations": turns} for image in (["a.png", "b.png"], ["b.png", "a.png"])
    ]
    several = type("Several", (type(processor),), {"several_images": True})(**vars(processor))
    samples, _ = make_samples(records, several, tmp_path, LengthLimit(2048, split=True))
    rows = SampleDataset(samples, tmp_path, several)
    batch = Collator(several)([rows[0], rows[1]])
    assert int((batch["input_ids"] == processor.image_token_id).sum()) == 4 * 64
    assert batch["input_ids"].shape[1] == samples[0].length
    first, second, third, fourth = batch["pixel_values"]
    assert torch.equal(first, fourth)
    assert torch.equal(second, third)
    assert not torch.equal(first, second)
