"""A conversation about one image: answers come piece by piece, and later prompts see the earlier ones or not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Literal

from tasks.inference.engines.batch_generation import embed_prompt, encode_images, generate_tokens
from tasks.inference.engines.decoding import Decoding, choose_tokens
from tasks.inference.engines.prompts import encode_asked, stop_tokens, text_of
from tasks.model.images import pixels_of, read_image
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER, Turn, place_image
from tasks.serving.models import Speaker

History = Literal["predicted", "independent"]
Round = tuple[str, str]
# what a decoder shows for a character whose last bytes have not come yet
UNFINISHED = "\ufffd"


class Conversation:
    """One image and what was said about it so far: rounds of prompt and answer, as plain text.

    With `predicted` history a prompt is asked after all rounds so far, with `independent` alone.
    """

    def __init__(
        self,
        speaker: Speaker,
        image: Path,
        decoding: Decoding,
        history: History = "predicted",
        rounds: Sequence[Round] = (),
    ):
        """Read and encode the image; raises DataError when it is missing or no image."""
        self._speaker, self._decoding, self._history = speaker, decoding, history
        pixels = pixels_of(read_image(image), speaker.loaded.image_processor)
        with speaker.at_work():
            self._features = encode_images(speaker.loaded.model, [pixels])[0]
        self.rounds = list(rounds)

    def ask(self, prompt: str) -> Iterator[str]:
        """Yield the answer in pieces; prompt and answer join the history once the answer is whole.

        Raises DataError before the first piece when the dialogue has grown longer than the model takes.
        """
        ids = encode_asked(self._speaker.loaded, self._shown(prompt), self._decoding.max_new_tokens)
        shown = text = ""
        for text in self._texts(ids):
            if text.startswith(shown) and not text.endswith(UNFINISHED):
                yield text[len(shown) :]
                shown = text
        # an answer may end, or be cut off, within a character
        if len(text) > len(shown):
            yield text[len(shown) :]
        # the text, not the tokens: special tokens must not come back in the history
        self.rounds.append((prompt, text))

    def _shown(self, prompt: str) -> list[Turn]:
        earlier = self.rounds if self._history == "predicted" else []
        turns: list[Turn] = []
        for said, answer in [*earlier, (prompt, "")]:
            turns += [("human", said.replace(IMAGE_PLACEHOLDER, "").strip()), ("gpt", answer)]
        # the image stands first, wherever a prompt may name it
        return [("human", place_image(f"{IMAGE_PLACEHOLDER}\n{turns[0][1]}")), *turns[1:-1]]

    def _texts(self, ids: Sequence[int]) -> Iterator[str]:
        """The answer's text after each token."""
        loaded, decoding, at_work = self._speaker.loaded, self._decoding, self._speaker.at_work
        stops, answer = stop_tokens(loaded), list[int]()
        choosers = [decoding.chooser(str(len(self.rounds)))]
        with at_work():
            prompt = embed_prompt(loaded.model, ids, loaded.image_token_id, self._features)
        tokens = generate_tokens(
            loaded.model,
            prompt,
            stops,
            decoding.max_new_tokens,
            lambda logits: choose_tokens(logits, choosers, decoding)[0],
        )
        # the model is held for a token at a time: a reader who is slow or gone keeps nobody waiting
        for token in iter(partial(_next_within, at_work, tokens), None):
            if token not in stops:
                answer.append(token)
                yield text_of(loaded.tokenizer, answer)


def _next_within(at_work: Callable[[], AbstractContextManager[None]], tokens: Iterator[int]) -> int | None:
    with at_work():
        return next(tokens, None)
