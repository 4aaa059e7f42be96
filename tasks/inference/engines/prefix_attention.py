"""Attention over a prefix that several rows share: its keys and values are kept once an image, not once a row.

Scores over the shared prefix and over a row's own tokens are computed apart and normalised together, so that the
result is that of ordinary attention over both. The queries of all rows of an image meet its prefix in one matrix
product. Source of the split: Hydragen, arXiv 2402.05099.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "rsvlm_shared_prefix"
# of a piece, beside a GPU and on one: what a processor's cache holds, and what no GPU misses
SCORES_BYTES = (1 << 21, 1 << 28)


@dataclass(frozen=True)
class Prefix:
    """Keys and values of each layer, images x heads x prefix tokens x head size, and each row's image.

    `slots` is a row's place in a grid of images x `width` rows; None: the rows fill the grid in its order.
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    slots: torch.Tensor | None = None
    width: int = 1

    @property
    def length(self) -> int:
        return self.keys[0].shape[-2]

    def for_rows(self, images: Sequence[int]) -> "Prefix":
        """The same prefix for rows whose images have the places `images` in it."""
        taken: dict[int, int] = {}
        places = []
        for image in images:
            places.append(taken.get(image, 0))
            taken[image] = places[-1] + 1
        width = max(taken.values())
        slots = [image * width + place for image, place in zip(images, places, strict=True)]
        if slots == list(range(len(self.keys[0]) * width)):
            return Prefix(self.keys, self.values, None, width)
        return Prefix(self.keys, self.values, torch.tensor(slots, device=self.keys[0].device), width)

    def to_grid(self, rows: torch.Tensor) -> torch.Tensor:
        """rows x heads x length x size as images x heads x (width * length) x size."""
        _, heads, length, size = rows.shape
        images = len(self.keys[0])
        if self.slots is not None:
            grid = rows.new_zeros(images * self.width, heads, length, size)
            grid[self.slots] = rows
            rows = grid
        by_image = rows.reshape(images, self.width, heads, length, size).transpose(1, 2)
        return by_image.reshape(images, heads, self.width * length, size)

    def to_rows(self, grid: torch.Tensor, length: int) -> torch.Tensor:
        """The inverse of to_grid."""
        images, heads, _, size = grid.shape
        by_row = grid.reshape(images, heads, self.width, length, size).transpose(1, 2)
        rows = by_row.reshape(images * self.width, heads, length, size)
        return rows if self.slots is None else rows[self.slots]


def share_prefixes(model: Any) -> None:
    """Let a model's language part take `prefix`; without one it computes as before."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.config.get_text_config()._attn_implementation = NAME


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it; `options["prefix"]` is what all rows of an image see before their own.

    `attention_mask` is then added to the scores of the own tokens, rows x 1 x queries x own tokens.
    """
    prefix: Prefix | None = options.pop("prefix", None)
    if prefix is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    assert attention_mask is not None
    rows, heads, length, size = query.shape
    kv_heads = key.shape[1]
    # heads that share a key stand below each other, as more queries of it
    queries = (query * options["scaling"]).reshape(rows, kv_heads, -1, size)
    mask = attention_mask.expand(rows, heads // kv_heads, *attention_mask.shape[2:]).reshape(rows, 1, -1, key.shape[2])
    own = _weighted(queries, key, value, mask)
    parts = _in_pieces(prefix.to_grid(queries), prefix.keys[module.layer_idx], prefix.values[module.layer_idx])
    mixed = _mixed(own, tuple(prefix.to_rows(part, queries.shape[2]) for part in parts))
    return mixed.to(query.dtype).reshape(rows, heads, length, size).transpose(1, 2), None


def _in_pieces(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """_weighted over so few queries at a time that their scores stay small."""
    images, heads, tokens, _ = keys.shape
    size = max(1, SCORES_BYTES[queries.device.type == "cuda"] // (4 * images * heads * tokens))
    pieces = [_weighted(piece, keys, values) for piece in queries.split(size, dim=2)]
    return tuple(torch.cat(parts, dim=2) for parts in zip(*pieces, strict=True))


def _weighted(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, ...]:
    """Values weighted by exp(score - top), the weights' sum, and the highest score, top."""
    scores = (queries @ keys.transpose(-1, -2)).float()
    if mask is not None:
        scores += mask
    top = scores.amax(-1, keepdim=True)
    weights = scores.sub_(top).exp_()
    return (weights.to(values.dtype) @ values).float(), weights.sum(-1, keepdim=True), top


def _mixed(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """What attention over both parts gives."""
    top = torch.maximum(one[2], other[2])
    scales = [(part[2] - top).exp() for part in (one, other)]
    total = one[1] * scales[0] + other[1] * scales[1]
    return (one[0] * scales[0] + other[0] * scales[1]) / total
