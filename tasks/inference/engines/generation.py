"""Generate answers: to one prompt, or to many questions about some images, computing each image's prefix only once.

In a batch a question takes memory for its own tokens alone; the keys and values of an image are stored once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from transformers import Cache, PreTrainedModel

from tasks.inference.engines.decoding import Decoding, Sampler, log_probabilities, next_tokens
from tasks.inference.engines.prefix_attention import Prefix
from tasks.model.family import Prefilled
from tasks.model.loading import LoadedModel

# positions (rows, length) of text tokens as a family's model takes them
Positions = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def generate_tokens(
    loaded: LoadedModel,
    start: Prefilled,
    stops: Sequence[int],
    max_new_tokens: int,
    next_token: Callable[[torch.Tensor], int] = lambda logits: int(logits.argmax()),
) -> Iterator[int]:
    """Yield the token ids that answer one prefilled prompt, up to and including one of `stops`, or up to the limit.

    `next_token` gets logits of shape (1, vocab).
    """
    cache, logits, position = start.cache, start.logits, start.next_positions
    for step in range(max_new_tokens):
        token = next_token(logits)
        yield token
        if token in stops or step + 1 == max_new_tokens:
            return
        output = loaded.model(
            input_ids=torch.tensor([[token]], device=loaded.device),
            position_ids=loaded.family.positions((position + step)[:, None]),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, logits = output.past_key_values, output.logits[:, -1]


@dataclass(frozen=True)
class Row:
    """One question of a batch: the index of its image in the prefix, its token ids after the image, its sampler."""

    image: int
    ids: list[int]
    sampler: Sampler


@dataclass(frozen=True)
class Generated:
    """An answer: its token ids without the stop token, and the log-probabilities of all its tokens, stop included.

    There are no log-probabilities if tokens are sampled.
    """

    ids: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)


@torch.no_grad()
def generate_answers(
    loaded: LoadedModel, prefix: Prefix, rows: Sequence[Row], stops: Sequence[int], decoding: Decoding
) -> list[Generated]:
    """The answer to each row; it does not depend on the others."""
    answers = [Generated() for _ in rows]
    batch = _Batch.start(prefix, rows)
    stop_ids = set(stops)
    for _ in range(decoding.max_new_tokens):
        logits = batch.step(loaded.model, loaded.family.positions)
        tokens = next_tokens(logits, [rows[row].sampler for row in batch.rows], decoding)
        known = log_probabilities(logits, tokens, decoding)
        for place, (row, token) in enumerate(zip(batch.rows, tokens, strict=True)):
            if row in batch.running:
                answers[row].log_probabilities.extend(known[place : place + 1])
                if token in stop_ids:
                    batch.running.discard(row)
                else:
                    answers[row].ids.append(token)
        if not batch.running:
            break
        batch.append(tokens, rows)
    return answers


class _Batch:
    """Generation state of a batch: `rows` are the indices still in it, `running` those that have not stopped.

    `ids` (rows, length) int64 are the tokens of the next step; `mask` (rows, own tokens) bool is False at left padding.
    """

    def __init__(self, prefix: Prefix, ids: torch.Tensor, mask: torch.Tensor):
        self.rows = list(range(len(ids)))
        self.running = set(self.rows)
        self._prefix, self._ids, self._mask = prefix, ids, mask
        self._cache: Cache | None = None

    @classmethod
    def start(cls, prefix: Prefix, rows: Sequence[Row]) -> "_Batch":
        device = prefix.keys[0].device
        longest = max(len(row.ids) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for index, row in enumerate(rows):
            ids[index, longest - len(row.ids) :] = torch.tensor(row.ids)
            mask[index, longest - len(row.ids) :] = True
        return cls(prefix.for_rows([row.image for row in rows]), ids.to(device), mask.to(device))

    def step(self, model: PreTrainedModel, positions_of: Positions) -> torch.Tensor:
        """Run the model on the tokens that it has not seen; the logits of the next, of shape (rows, vocab)."""
        length = self._ids.shape[1]
        own = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -length:]
        output = model(
            input_ids=self._ids,
            position_ids=positions_of(own + self._prefix.row_starts[:, None]),
            attention_mask=self._attention_mask(length, self._prefix.keys[0].dtype),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            prefix=self._prefix,
        )
        self._cache = output.past_key_values
        logits: torch.Tensor = output.logits[:, -1]
        return logits

    def append(self, tokens: Sequence[int], rows: Sequence[Row]) -> None:
        """Make `tokens` the input of the next step; drop stopped rows once they are half of the batch."""
        self._ids = torch.tensor(tokens, device=self._ids.device)[:, None]
        if 2 * len(self.running) <= len(self.rows):
            self._keep([index for index, row in enumerate(self.rows) if row in self.running], rows)
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self.rows), 1)], dim=1)

    def _keep(self, indices: list[int], rows: Sequence[Row]) -> None:
        kept = torch.tensor(indices, device=self._ids.device)
        self.rows = [self.rows[index] for index in indices]
        self._ids, self._mask = self._ids[kept], self._mask[kept]
        if self._cache is not None:
            self._cache.batch_select_indices(kept)
        self._prefix = self._prefix.for_rows([rows[row].image for row in self.rows])

    def _attention_mask(self, length: int, dtype: torch.dtype) -> torch.Tensor:
        """The additive causal mask over a row's own tokens: 0 or dtype's minimum, (rows, 1, length, own tokens)."""
        own = self._mask.shape[1]
        indices = torch.arange(own, device=self._mask.device)
        seen = self._mask[:, None, None, :] & (indices[None, :] <= indices[-length:, None])
        return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, torch.finfo(dtype).min)
