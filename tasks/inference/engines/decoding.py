"""How the next token is chosen: the likeliest, or drawn with numbers that belong to one question alone."""

import random
from dataclasses import dataclass
from typing import Any

import torch

from tasks.files import digest_of


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded; a temperature of 0 takes the likeliest token, and then seed and share do nothing."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 28

    def chooser(self, key: str) -> "Chooser":
        """What chooses the tokens of the question with this key, whatever is asked beside it."""
        return Chooser(self, random.Random(self.seed_of(key)))  # noqa: S311 - sampling, no secret

    def seed_of(self, key: str) -> int:
        """A question's own seed, of 32 bits."""
        return int(digest_of([self.seed, key])[:8], 16)


class Chooser:
    """Chooses one row's tokens."""

    def __init__(self, decoding: Decoding, numbers: random.Random):
        self._decoding, self._numbers = decoding, numbers

    def draw(self, logits: torch.Tensor) -> int:
        """A token by the probabilities of `logits`, of which the least likely beyond `top_p` count as none."""
        shares = torch.softmax(logits.float() / self._decoding.temperature, -1)
        ordered, tokens = shares.sort(descending=True, stable=True)
        reached = ordered.cumsum(-1)
        kept = int((reached < self._decoding.top_p).sum()) + 1
        point = self._numbers.random() * float(reached[min(kept, len(reached)) - 1])
        return int(tokens[min(int((reached <= point).sum()), len(tokens) - 1)])


def choose_tokens(logits: torch.Tensor, choosers: list[Chooser], decoding: Decoding) -> list[int]:
    """The next token of each row of `logits`, rows x vocabulary."""
    if not decoding.temperature:
        chosen: Any = logits.argmax(-1).tolist()
        return list(chosen)
    on_cpu = logits.float().cpu()
    return [chooser.draw(row) for chooser, row in zip(choosers, on_cpu, strict=True)]
