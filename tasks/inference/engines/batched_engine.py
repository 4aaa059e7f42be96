"""The engine for models whose attention does not let rows share a prefix: transformers' generate, in padded batches."""

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from tasks.inference.engines.decoding import Decoding, Sampler, log_probabilities, next_tokens, stop_tokens
from tasks.inference.engines.generation import Generated
from tasks.inference.engines.model_engine import Asked, ModelEngine
from tasks.model.inputs import Row, batch_of, placed


class BatchedEngine(ModelEngine):
    """Answers a batch of left-padded prompts; padding and batching may change the last bits of a logit."""

    shares_images = False

    def set_up(self) -> None:
        from peft import PeftModel

        # generate would add settings published with the model, such as a repetition penalty, to ours
        loaded = self._loaded
        model = loaded.model.get_base_model() if isinstance(loaded.model, PeftModel) else loaded.model
        model.generation_config = GenerationConfig(eos_token_id=stop_tokens(loaded))

    def generate(self, asked: Sequence[Asked]) -> list[Generated]:
        loaded, decoding = self._loaded, self._decoding
        rows = [Row(one.prompt.ids, [], [one.image]) for one in asked]
        batch = batch_of(rows, loaded.processor, side="left")
        chosen = ChosenTokens([decoding.sampler(one.question.key) for one in asked], decoding)
        with torch.no_grad():
            loaded.model.generate(
                **placed(batch, loaded.model),
                max_new_tokens=decoding.max_new_tokens,
                pad_token_id=loaded.processor.padding_id,
                eos_token_id=self._stops,
                logits_processor=LogitsProcessorList([chosen]),
            )
        return [self._answer(tokens, known) for tokens, known in zip(chosen.tokens, chosen.known, strict=True)]

    def generate_alone(self, asked: Asked) -> Generated:
        return self.generate([asked])[0]

    def _answer(self, tokens: Sequence[int], known: Sequence[float]) -> Generated:
        """The answer's tokens up to its stop token, and the log-probabilities up to and including it."""
        end = next((index for index, token in enumerate(tokens) if token in self._stops), len(tokens))
        return Generated(list(tokens[:end]), list(known[: end + 1]))


class ChosenTokens(LogitsProcessor):  # type: ignore[misc]
    """Chooses each row's next token as the other engines do, and leaves transformers no other choice.

    `tokens` and `known` are the tokens of each row and their log-probabilities, also those after its end.
    """

    def __init__(self, samplers: Sequence[Sampler], decoding: Decoding):
        self._samplers, self._decoding = samplers, decoding
        self.tokens: list[list[int]] = [[] for _ in samplers]
        self.known: list[list[float]] = [[] for _ in samplers]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocab) float with all but the chosen token at minus infinity."""
        tokens = next_tokens(scores, self._samplers, self._decoding)
        known = log_probabilities(scores, tokens, self._decoding)
        for row, token in enumerate(tokens):
            self.tokens[row].append(token)
            self.known[row].extend(known[row : row + 1])
        only = torch.full_like(scores, -torch.inf)
        only[torch.arange(len(tokens)), tokens] = 0
        return only
