"""What the page and its API do, free of Gradio: check what was sent, and answer with one model or several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding
from tasks.model.image_limits import TooLargeError
from tasks.model.images import read_image, require_image
from tasks.serving.conversation import Conversation, History, Round
from tasks.serving.models import Speaker

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOAD_BYTES = 32_000_000
MAX_CHARACTERS = 8_000
# what was said before, together with the question; a model takes a few thousand tokens
MAX_TALK_CHARACTERS, MAX_ROUNDS = 32_000, 200
PREVIEW_SIDE = 1024


@dataclass(frozen=True)
class Asked:
    """A question about an image, how it is to be answered, and what was said before with each model."""

    image: Path
    question: str
    decoding: Decoding
    history: History = "predicted"


class Example(NamedTuple):
    """An image to try the page with, and a question about it."""

    image: Path
    question: str


def preview_of(image: Path) -> "Image":
    """What a browser can show of an image, 1,024 pixels at most on a side; raises DataError when it is not taken.

    A browser shows no TIFF and no 16-bit image as the model sees it.
    """
    _require_readable(image)
    try:
        preview = read_image(image)
    except DataError:
        raise DataError(_unreadable(image)) from None
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return preview


def require_question(question: str | None) -> str:
    """The question without white space around it; raises DataError when it is empty or far too long."""
    if question is None:
        raise DataError("The question is missing: write one.")
    if len(question) > MAX_CHARACTERS:
        raise DataError(
            f"The question has {len(question):,} characters, and {MAX_CHARACTERS:,} are the most: shorten it."
        )
    if not question.strip():
        raise DataError("The question is empty: write one.")
    return question.strip()


def require_short_talk(question: str, rounds: Sequence[Round]) -> None:
    """Raise DataError when what was said before and the question are too much to be looked at."""
    characters = len(question) + sum(len(text) for pair in rounds for text in pair)
    if len(rounds) > MAX_ROUNDS or characters > MAX_TALK_CHARACTERS:
        raise DataError(
            f"The question and the {len(rounds):,} rounds before it have {characters:,} characters, and {MAX_ROUNDS} "
            f"rounds and {MAX_TALK_CHARACTERS:,} characters are the most: start over, or leave rounds out."
        )


def answers(speakers: Sequence[Speaker], asked: Asked, rounds: Sequence[Sequence[Round]]) -> Iterator[list[str]]:
    """Yield what each speaker has said so far, token by token in turn, until the last has ended.

    `rounds` holds what was said before with each. Raises DataError before the first yield when the question
    cannot be asked.
    """
    question = require_question(asked.question)
    for said in rounds:
        require_short_talk(question, said)
    if not asked.image.is_file():
        raise DataError("The image is no longer here: upload it again.")
    _require_readable(asked.image)
    try:
        conversations = [
            Conversation(speaker, asked.image, asked.decoding, asked.history, said)
            for speaker, said in zip(speakers, rounds, strict=True)
        ]
    except DataError:
        raise DataError(_unreadable(asked.image)) from None
    texts = [""] * len(speakers)
    running = {place: conversation.ask(question) for place, conversation in enumerate(conversations)}
    while running:
        for place, pieces in list(running.items()):
            piece = next(pieces, None)
            if piece is None:
                del running[place]
            else:
                texts[place] += piece
        yield list(texts)


def _require_readable(image: Path) -> None:
    # by the file's head, before anything is unpacked
    try:
        require_image(image)
    except TooLargeError as error:
        raise DataError(f"{image.name} {error.reason}") from None
    except DataError:
        raise DataError(_unreadable(image)) from None


def _unreadable(image: Path) -> str:
    return f"{image.name} is no image that can be read: choose another, such as PNG, JPEG or TIFF."
