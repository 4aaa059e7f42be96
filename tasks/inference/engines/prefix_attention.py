"""Attention over a prefix that several rows share: its keys and values are stored once per image, not once per row.

Attention scores over the shared prefix and over a row's own tokens are computed separately and normalised together, so
the result equals ordinary attention over both. The queries of all rows of an image meet its prefix in one matrix
product. Source of the split: Hydragen, arXiv 2402.05099.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tasks.model.family import Prefilled

NAME = "rsvlm_shared_prefix"
# score matrices are computed in chunks of this size: on a CPU they then stay in its cache, on a GPU they cost little
SCORE_BYTES = {"cpu": 1 << 21, "cuda": 1 << 28}

# weighted values (..., queries, head size), weight sums (..., queries, 1), maximum scores (..., queries, 1)
Partial = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Prefix:
    """Keys and values of shared prefixes, and the image of each row.

    `keys` and `values` hold a tensor per layer, of shape (images, KV heads, prefix tokens, head size) in the model's
    dtype, and `starts` (images,) int64 the position of the token after each. Rows are arranged in a grid of images x
    `width`; `slots` (rows,) int64 is each row's index in the flattened grid, None if the rows fill the grid in order.
    `row_starts` (rows,) int64 are the starts by row.
    """

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]
    starts: torch.Tensor
    row_starts: torch.Tensor
    slots: torch.Tensor | None = None
    width: int = 1

    @classmethod
    def of(cls, prefilled: Prefilled) -> "Prefix":
        """The prefixes of prefilled prompts, with one row each."""
        layers, starts = prefilled.cache.layers, prefilled.next_positions
        return cls([layer.keys for layer in layers], [layer.values for layer in layers], starts, starts)

    def for_rows(self, images: Sequence[int]) -> "Prefix":
        """The same prefixes for rows with these image indices."""
        taken: dict[int, int] = {}
        columns = []
        for image in images:
            columns.append(taken.get(image, 0))
            taken[image] = columns[-1] + 1
        width = max(taken.values())
        slots = [image * width + column for image, column in zip(images, columns, strict=True)]
        device = self.keys[0].device
        in_order = slots == list(range(len(self.keys[0]) * width))
        grid_slots = None if in_order else torch.tensor(slots, device=device)
        row_starts = self.starts[torch.tensor(images, device=device)]
        return Prefix(self.keys, self.values, self.starts, row_starts, grid_slots, width)

    def to_grid(self, rows: torch.Tensor) -> torch.Tensor:
        """Rearrange (rows, heads, length, size) to (images, heads, width * length, size); empty slots are zero."""
        _, heads, length, size = rows.shape
        images = len(self.keys[0])
        if self.slots is not None:
            grid = rows.new_zeros(images * self.width, heads, length, size)
            grid[self.slots] = rows
            rows = grid
        by_image = rows.reshape(images, self.width, heads, length, size).transpose(1, 2)
        return by_image.reshape(images, heads, self.width * length, size)

    def to_rows(self, grid: torch.Tensor, length: int) -> torch.Tensor:
        """The inverse of to_grid: (images, heads, width * length, size) to (rows, heads, length, size)."""
        images, heads, _, size = grid.shape
        by_row = grid.reshape(images, heads, self.width, length, size).transpose(1, 2)
        rows = by_row.reshape(images * self.width, heads, length, size)
        return rows if self.slots is None else rows[self.slots]


class AttentionLayer(Protocol):
    """An attention module of transformers: what is used of it here."""

    layer_idx: int


def enable_prefixes(model: PreTrainedModel) -> None:
    """Let the language model take the keyword `prefix`; without it, it computes as before."""
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.config.get_text_config()._attn_implementation = NAME


def attend(
    module: AttentionLayer,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention with the signature that transformers calls; `options["prefix"]` is a Prefix or missing.

    `query` has shape (rows, heads, queries, head size), `key` and `value` (rows, KV heads, own tokens, head size), all
    in the model's dtype. With a prefix, `attention_mask` is additive, (rows, 1, queries, own tokens). The result has
    shape (rows, queries, heads, head size).
    """
    prefix: Prefix | None = options.pop("prefix", None)
    if prefix is None:
        ordinary: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return ordinary
    assert attention_mask is not None
    rows, heads, length, size = query.shape
    kv_heads = key.shape[1]
    # query heads that share a KV head become further queries of it
    queries = (query * options["scaling"]).reshape(rows, kv_heads, -1, size)
    mask = attention_mask.expand(rows, heads // kv_heads, *attention_mask.shape[2:]).reshape(rows, 1, -1, key.shape[2])
    own = _partial(queries, key, value, mask)
    shared = _partial_in_chunks(prefix.to_grid(queries), prefix.keys[module.layer_idx], prefix.values[module.layer_idx])
    values, sums, maxima = (prefix.to_rows(part, queries.shape[2]) for part in shared)
    merged = _merge(own, (values, sums, maxima))
    return merged.to(query.dtype).reshape(rows, heads, length, size).transpose(1, 2), None


def _partial_in_chunks(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> Partial:
    """_partial over a limited number of queries at a time, so that their scores take little memory."""
    images, heads, tokens, _ = keys.shape
    size = max(1, SCORE_BYTES.get(queries.device.type, SCORE_BYTES["cpu"]) // (4 * images * heads * tokens))
    chunks = [_partial(chunk, keys, values) for chunk in torch.split(queries, size, dim=2)]
    weighted, sums, maxima = (torch.cat(parts, dim=2) for parts in zip(*chunks, strict=True))
    return weighted, sums, maxima


def _partial(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None = None
) -> Partial:
    """Values weighted by exp(score - maximum), the sum of the weights, and the maximum; all float32.

    Shapes: queries (N, heads, queries, size), keys and values (N, heads, tokens, size), mask (N, 1, queries, tokens).
    """
    scores = (queries @ keys.transpose(-1, -2)).float()
    if mask is not None:
        scores += mask
    maximum = scores.amax(-1, keepdim=True)
    weights = scores.sub_(maximum).exp_()
    return (weights.to(values.dtype) @ values).float(), weights.sum(-1, keepdim=True), maximum


def _merge(one: Partial, other: Partial) -> torch.Tensor:
    """Softmax attention over both parts, float32, (rows, heads, queries, size)."""
    maximum = torch.maximum(one[2], other[2])
    scales = [(part[2] - maximum).exp() for part in (one, other)]
    total = one[1] * scales[0] + other[1] * scales[1]
    return (one[0] * scales[0] + other[0] * scales[1]) / total
