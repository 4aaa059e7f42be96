"""A conversation about one image: the model sees all that was said, answers come piece by piece."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.inference.generating import embed_prompt, encode_images, generate_greedily
from tasks.inference.prompts import encode_asked, stop_tokens, text_of
from tasks.model.images import pixels_of, read_image
from tasks.model.loading import LoadedModel
from tasks.model.prompt import IMAGE_PLACEHOLDER, Turn, place_image

# what a decoder shows for a character whose last bytes have not come yet
UNFINISHED = "\ufffd"


class Conversation:
    """One image and what was said about it so far."""

    def __init__(self, loaded: LoadedModel, image: Path, max_new_tokens: int):
        """Read and encode the image; raises DataError when it is missing or no image."""
        self._loaded, self._max_new_tokens = loaded, max_new_tokens
        pixels = pixels_of(read_image(image), loaded.image_processor)
        self._features = encode_images(loaded.model, [pixels])[0]
        self.turns: list[Turn] = []

    def ask(self, prompt: str) -> Iterator[str]:
        """Yield the answer in pieces; question and answer join the history once the answer is whole.

        Raises DataError when the dialogue has grown longer than the model takes.
        """
        text = prompt if self.turns else place_image(f"{IMAGE_PLACEHOLDER}\n{prompt}")
        turns = [*self.turns, ("human", text)]
        ids = encode_asked(self._loaded, turns, self._max_new_tokens)
        shown = ""
        for text_so_far in self._texts(ids):
            if text_so_far.startswith(shown) and not text_so_far.endswith(UNFINISHED):
                yield text_so_far[len(shown) :]
                shown = text_so_far
        # the text, not the tokens: special tokens must not come back in the history
        self.turns = [*turns, ("gpt", shown)]

    def _texts(self, ids: Sequence[int]) -> Iterator[str]:
        """The answer's text after each token."""
        loaded, answer = self._loaded, list[int]()
        prompt = embed_prompt(loaded.model, ids, loaded.image_token_id, self._features)
        stops = stop_tokens(loaded)
        for (token,) in generate_greedily(loaded.model, [prompt], stops, self._max_new_tokens):
            if token not in stops:
                answer.append(token)
                yield text_of(loaded.tokenizer, answer)
