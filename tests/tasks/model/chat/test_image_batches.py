"""Image tensors of different sizes are batched with zeros behind them."""

import torch

from tasks.model.chat.image_batches import batch_images


def tiles(count: int, side: int = 2) -> dict[str, torch.Tensor]:
    return {"pixel_values": torch.ones(1, count, 3, side, side), "image_sizes": torch.tensor([[count, side]])}


def masked(count: int, side: int) -> dict[str, torch.Tensor]:
    return {
        "pixel_values": torch.ones(1, count, 3, side, side),
        "pixel_attention_mask": torch.ones(1, count, side, side, dtype=torch.int64),
    }


def test_patches_are_concatenated() -> None:
    images = [{"pixel_values": torch.full((n, 4), n), "image_grid_thw": torch.tensor([[1, 1, n]])} for n in (2, 3, 1)]
    batch = batch_images([images[:2], [], images[2:]])
    assert batch["pixel_values"][:, 0].tolist() == [2, 2, 3, 3, 3, 1]
    assert batch["image_grid_thw"].tolist() == [[1, 1, 2], [1, 1, 3], [1, 1, 1]]


def test_tiles_are_padded_for_each_image() -> None:
    batch = batch_images([[tiles(1), tiles(3)], [tiles(2)]])
    assert batch["pixel_values"].shape == (3, 3, 3, 2, 2)
    assert batch["pixel_values"].sum((2, 3, 4)).tolist() == [[12, 0, 0], [12, 12, 12], [12, 12, 0]]
    assert batch["image_sizes"].tolist() == [[1, 2], [3, 2], [2, 2]]


def test_tiles_with_masks_are_padded_for_each_row() -> None:
    batch = batch_images([[masked(1, 2), masked(2, 4)], [], [masked(1, 4)]])
    assert batch["pixel_values"].shape == (3, 3, 3, 4, 4)
    assert batch["pixel_attention_mask"].sum((2, 3)).tolist() == [[4, 16, 16], [0, 0, 0], [16, 0, 0]]
    assert batch["pixel_attention_mask"].dtype == torch.int64
    # an image smaller than others is in the upper left
    assert batch["pixel_attention_mask"][0, 0, :2, :2].all() and not batch["pixel_attention_mask"][0, 0, 2:].any()
