"""Batch the image tensors of rows as transformers' image processors do, by their layout."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]
PIXELS, MASK = "pixel_values", "pixel_attention_mask"


def batch_images(rows: Sequence[Sequence[Tensors]]) -> "dict[str, torch.Tensor]":
    """The image tensors of a batch by name; `rows` holds those of each row's images, as prepared alone.

    Idefics3: `pixel_values` (rows, tiles, 3, height, width) and `pixel_attention_mask` (rows, tiles, height, width),
    where a row has the tiles of all its images and zeros after them. LLaVA-NeXT and OneVision: `pixel_values` (images,
    tiles, 3, height, width), with zeros after an image's tiles. All others are concatenated along their first
    dimension: Qwen's patches, InternVL's tiles, and the sizes or grids of images.
    """
    import torch

    images = [image for row in rows for image in row]
    if MASK in images[0]:
        return {name: _by_row([[image[name] for image in row] for row in rows], images[0][name]) for name in images[0]}
    batch = {}
    for name in images[0]:
        values = [image[name] for image in images]
        batch[name] = torch.cat(_padded(values) if name == PIXELS else values)
    return batch


def _by_row(rows: "Sequence[Sequence[torch.Tensor]]", example: "torch.Tensor") -> "torch.Tensor":
    import torch

    # a row without images has no tile, and is filled with zeros
    empty = example[:, :0]
    return torch.cat(_padded([torch.cat(_padded(row, first=2), dim=1) if row else empty for row in rows]))


def _padded(values: "Sequence[torch.Tensor]", first: int = 1) -> "list[torch.Tensor]":
    """Tensors with zeros behind them, so that all dimensions from `first` on are as long as the longest's."""
    from torch.nn.functional import pad

    if len({value.shape[first:] for value in values}) == 1:
        return list(values)
    longest = [max(sizes) for sizes in zip(*(value.shape[first:] for value in values), strict=True)]
    return [pad(value, _missing(value.shape[first:], longest)) for value in values]


def _missing(sizes: Sequence[int], longest: Sequence[int]) -> list[int]:
    # pad takes the last dimension first
    pairs = [(0, target - size) for size, target in zip(sizes, longest, strict=True)]
    return [number for pair in reversed(pairs) for number in pair]
