"""From logits to text: choose the next token, end an answer, and decode its tokens."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from tasks.files import digest_of
from tasks.model.loading import LoadedModel


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded.

    A `temperature` of 0 is greedy decoding: the most probable token each time, whatever `top_p` and `seed` are.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 28

    def sampler(self, key: str) -> "Sampler":
        """The sampler of the question with this key; it does not depend on the other questions in the batch."""
        return Sampler(self, random.Random(self.seed_of(key)))  # noqa: S311 - sampling, no secret

    def seed_of(self, key: str) -> int:
        """The 32-bit seed of one question."""
        return int(digest_of([self.seed, key])[:8], 16)


class Sampler:
    """Samples the tokens of one answer."""

    def __init__(self, decoding: Decoding, numbers: random.Random):
        self._decoding, self._numbers = decoding, numbers

    def sample(self, logits: torch.Tensor) -> int:
        """Sample a token with nucleus (top-p) sampling; `logits` are floats of shape (vocab,), on the CPU.

        Source: Holtzman et al., arXiv 1904.09751.
        """
        probabilities = torch.softmax(logits.float() / self._decoding.temperature, -1)
        ordered, tokens = probabilities.sort(descending=True, stable=True)
        cumulative = ordered.cumsum(-1)
        kept = int((cumulative < self._decoding.top_p).sum()) + 1
        point = self._numbers.random() * float(cumulative[min(kept, len(cumulative)) - 1])
        return int(tokens[min(int((cumulative <= point).sum()), len(tokens) - 1)])


def next_tokens(logits: torch.Tensor, samplers: Sequence[Sampler], decoding: Decoding) -> list[int]:
    """The next token of each row; `logits` are floats of shape (rows, vocab), `samplers` one per row."""
    if not decoding.temperature:
        return [int(token) for token in logits.argmax(-1)]
    on_cpu = logits.float().cpu()
    return [sampler.sample(row) for sampler, row in zip(samplers, on_cpu, strict=True)]


def log_probabilities(logits: torch.Tensor, tokens: Sequence[int], decoding: Decoding) -> list[float]:
    """The natural log-probability of each row's token; empty if tokens are sampled.

    `logits` are floats of shape (rows, vocab), `tokens` one per row.
    """
    if decoding.temperature:
        return []
    scores = logits.float()
    chosen = scores.gather(-1, torch.tensor(tokens, device=scores.device)[:, None])[:, 0]
    values: list[float] = (chosen - scores.logsumexp(-1)).tolist()
    return values


def answer_probability(log_probabilities: Sequence[float]) -> dict[str, float]:
    """The fields `probability` and `mean_log_probability` of an Answer; none of them without log-probabilities.

    They are rounded to four significant digits and to three decimals.
    """
    if not log_probabilities:
        return {}
    total = math.fsum(log_probabilities)
    # further digits depend on the batch even in float32: a run that was killed and resumed would have other files
    return {
        "probability": float(f"{math.exp(total):.4g}"),
        "mean_log_probability": round(total / len(log_probabilities), 3),
    }


def stop_tokens(loaded: LoadedModel) -> list[int]:
    """The token ids that end an answer, as the model directory says."""
    stops = loaded.model.generation_config.eos_token_id
    if stops is None:
        stops = loaded.processor.tokenizer.eos_token_id
    return list(stops) if isinstance(stops, list) else [stops]


def decode_answer(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of generated token ids, without special tokens and surrounding whitespace."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text.strip()
