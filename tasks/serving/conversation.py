"""A conversation about one image: answers are streamed, and later prompts see the earlier rounds or not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from tasks.choices import ChatHistory
from tasks.inference.engines.decoding import Decoding, decode_answer, next_tokens, stop_tokens
from tasks.inference.engines.generation import generate_tokens
from tasks.inference.engines.prompts import Prompt, encode_question
from tasks.model.encoding import Turn
from tasks.model.images import read_image
from tasks.prompt_text import with_placeholder, without_placeholder
from tasks.serving.models import ServedModel

Round = tuple[str, str]
# the replacement character, which a tokenizer decodes an incomplete character to
INCOMPLETE = "\ufffd"


class Conversation:
    """One image and the rounds about it so far: prompt and answer, as plain text.

    With `predicted` history a prompt is asked after all earlier rounds, with `independent` history alone.
    """

    def __init__(
        self,
        model: ServedModel,
        image: Path,
        decoding: Decoding,
        history: ChatHistory = "predicted",
        rounds: Sequence[Round] = (),
    ):
        """Read and prepare the image; raises DataError if it is missing or not an image."""
        self._model, self._decoding, self._history = model, decoding, history
        self._image = model.loaded.processor.prepare(read_image(image))
        self.rounds = list(rounds)

    def ask(self, prompt: str) -> Iterator[str]:
        """Yield the answer in pieces; once it is complete, prompt and answer are added to `rounds`.

        Raises DataError before the first piece if the dialogue is longer than the model takes.
        """
        turns, new_tokens = self._visible_turns(prompt), self._decoding.max_new_tokens
        encoded = encode_question(self._model.loaded, turns, self._image, new_tokens)
        shown = text = ""
        for text in self._texts(encoded):
            if text.startswith(shown) and not text.endswith(INCOMPLETE):
                yield text[len(shown) :]
                shown = text
        # an answer may end, or be cut off, within a character
        if len(text) > len(shown):
            yield text[len(shown) :]
        # the text, not the tokens: special tokens must not return in the history
        self.rounds.append((prompt, text))

    def _visible_turns(self, prompt: str) -> list[Turn]:
        earlier = self.rounds if self._history == "predicted" else []
        turns: list[Turn] = []
        for asked, answer in [*earlier, (prompt, "")]:
            turns += [("human", without_placeholder(asked)), ("gpt", answer)]
        # the image comes first, wherever a prompt names it
        return [("human", with_placeholder(turns[0][1])), *turns[1:-1]]

    def _texts(self, prompt: Prompt) -> Iterator[str]:
        """Yield the answer's text after each token."""
        loaded, decoding, activate = self._model.loaded, self._decoding, self._model.activate
        stops, answer = stop_tokens(loaded), list[int]()
        samplers = [decoding.sampler(str(len(self.rounds)))]
        with activate():
            start = loaded.family.prefill(loaded.model, loaded.processor, prompt.ids, [self._image])
        tokens = generate_tokens(
            loaded,
            start,
            stops,
            decoding.max_new_tokens,
            lambda logits: next_tokens(logits, samplers, decoding)[0],
        )
        # the model is held for one token at a time: a slow reader delays nobody
        for token in iter(partial(_next_while_active, activate, tokens), None):
            if token not in stops:
                answer.append(token)
                yield decode_answer(loaded.processor.tokenizer, answer)


def _next_while_active(activate: Callable[[], AbstractContextManager[None]], tokens: Iterator[int]) -> int | None:
    with activate():
        return next(tokens, None)
