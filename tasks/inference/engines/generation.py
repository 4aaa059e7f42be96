"""Answers to many questions about some images: each image's part of the prompt is computed once for all of them.

A question takes memory for its own tokens alone; the image's keys and values stand there once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tasks.inference.engines.decoding import Chooser, Decoding, choose_tokens
from tasks.inference.engines.prefix_attention import Prefix


@dataclass(frozen=True)
class Row:
    """One question: the place of its image in the prefix, its tokens after the image, and what chooses its answer."""

    image: int
    ids: list[int]
    chooser: Chooser


@torch.no_grad()
def encode_prefix(model: Any, prompts: torch.Tensor) -> Prefix:
    """Keys and values of prompts up to and including their images: images x tokens x hidden size, all of one length."""
    cache = model(inputs_embeds=prompts, use_cache=True, logits_to_keep=1).past_key_values
    return Prefix([layer.keys for layer in cache.layers], [layer.values for layer in cache.layers])


@torch.no_grad()
def generate_answers(
    model: Any, prefix: Prefix, rows: Sequence[Row], stops: Sequence[int], decoding: Decoding
) -> list[list[int]]:
    """The tokens that answer each row, its stop token left out; a row does not depend on its neighbours."""
    answers: list[list[int]] = [[] for _ in rows]
    state = _State.begin(model, prefix, rows)
    stop_ids = set(stops)
    for _ in range(decoding.max_new_tokens):
        logits = state.step(model)
        chosen = choose_tokens(logits, [rows[row].chooser for row in state.rows], decoding)
        for row, token in zip(state.rows, chosen, strict=True):
            if row in state.running:
                if token in stop_ids:
                    state.running.discard(row)
                else:
                    answers[row].append(token)
        if not state.running:
            break
        state.go_on(chosen, rows)
    return answers


class _State:
    """What a batch has been shown so far; `rows` are those still in it, `running` those not yet at their stop."""

    def __init__(self, prefix: Prefix, ids: torch.Tensor, known: torch.Tensor):
        self.rows = list(range(len(ids)))
        self.running = set(self.rows)
        self._prefix, self._ids = prefix, ids
        # 1 for a row's own tokens, 0 for padding before them
        self._known = known
        self._cache: Any = None

    @classmethod
    def begin(cls, model: Any, prefix: Prefix, rows: Sequence[Row]) -> "_State":
        device = prefix.keys[0].device
        longest = max(len(row.ids) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        known = torch.zeros(len(rows), longest, dtype=torch.bool)
        for place, row in enumerate(rows):
            ids[place, longest - len(row.ids) :] = torch.tensor(row.ids)
            known[place, longest - len(row.ids) :] = True
        return cls(prefix.for_rows([row.image for row in rows]), ids.to(device), known.to(device))

    def step(self, model: Any) -> torch.Tensor:
        """Show the model the tokens that it has not seen, and return the logits of the next: rows x vocabulary."""
        length = self._ids.shape[1]
        positions = (self._known.cumsum(-1) - 1).clamp(min=0)[:, -length:] + self._prefix.length
        output = model(
            input_ids=self._ids,
            position_ids=positions,
            attention_mask=self._mask(length, self._prefix.keys[0].dtype),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            prefix=self._prefix,
        )
        self._cache = output.past_key_values
        return output.logits[:, -1]

    def go_on(self, chosen: Sequence[int], rows: Sequence[Row]) -> None:
        """Take the chosen tokens as shown next; rows that are through leave once they are half of the batch."""
        self._ids = torch.tensor(chosen, device=self._ids.device)[:, None]
        if 2 * len(self.running) <= len(self.rows):
            self._keep([place for place, row in enumerate(self.rows) if row in self.running], rows)
        self._known = torch.cat([self._known, self._known.new_ones(len(self.rows), 1)], dim=1)

    def _keep(self, places: list[int], rows: Sequence[Row]) -> None:
        chosen = torch.tensor(places, device=self._ids.device)
        self.rows = [self.rows[place] for place in places]
        self._ids, self._known = self._ids[chosen], self._known[chosen]
        self._cache.batch_select_indices(chosen)
        self._prefix = self._prefix.for_rows([rows[row].image for row in self.rows])

    def _mask(self, length: int, dtype: torch.dtype) -> torch.Tensor:
        """0 where a row's token sees another of its own, the lowest number elsewhere: rows x 1 x new x own."""
        own = self._known.shape[1]
        places = torch.arange(own, device=self._known.device)
        seen = self._known[:, None, None, :] & (places[None, :] <= places[-length:, None])
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)
