"""What the page and its API do, without Gradio: check a question and its image, and answer with one or more models."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tasks.choices import ChatHistory
from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding
from tasks.model.image_limits import TooLargeError
from tasks.model.images import read_image, require_image
from tasks.serving.conversation import Conversation, Round
from tasks.serving.models import ServedModel

if TYPE_CHECKING:
    from PIL.Image import Image

UPLOAD_BYTES = 32_000_000
MAX_QUESTION_CHARACTERS = 8_000
# limits on the question and the rounds before it together; a model takes a few thousand tokens
MAX_CHARACTERS, MAX_ROUNDS = 32_000, 200
PREVIEW_SIDE = 1024


@dataclass(frozen=True)
class ImageQuestion:
    """A question about an image, and how it is answered."""

    image: Path
    question: str
    decoding: Decoding
    history: ChatHistory = "predicted"


class Example(NamedTuple):
    """An image to try the page with, and a question about it."""

    image: Path
    question: str


def make_preview(image: Path) -> "Image":
    """An image as a browser can show it, at most 1,024 pixels per side; raises DataError if it cannot be read.

    Browsers show neither TIFF nor 16-bit images as the model sees them.
    """
    _require_readable(image)
    try:
        preview = read_image(image)
    except DataError:
        raise DataError(_unreadable(image)) from None
    preview.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return preview


def require_question(question: str | None) -> str:
    """Return the question without surrounding whitespace; raises DataError if it is empty or too long."""
    if question is None:
        raise DataError("The question is missing: write one.")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise DataError(
            f"The question has {len(question):,} characters, and at most {MAX_QUESTION_CHARACTERS:,} are allowed: "
            "shorten it."
        )
    if not question.strip():
        raise DataError("The question is empty: write one.")
    return question.strip()


def require_short_history(question: str, rounds: Sequence[Round]) -> None:
    """Raise DataError if the question and the rounds before it are too long to be tokenized."""
    characters = len(question) + sum(len(text) for pair in rounds for text in pair)
    if len(rounds) > MAX_ROUNDS or characters > MAX_CHARACTERS:
        raise DataError(
            f"The question and the {len(rounds):,} rounds before it have {characters:,} characters, and at most "
            f"{MAX_ROUNDS} rounds and {MAX_CHARACTERS:,} characters are allowed: start over, or leave rounds out."
        )


def stream_answers(
    models: Sequence[ServedModel], asked: ImageQuestion, rounds: Sequence[Sequence[Round]]
) -> Iterator[list[str]]:
    """Yield the answer of each model so far, token by token in turn, until all have ended.

    `rounds` holds the earlier rounds with each model. Raises DataError before the first yield if the question cannot
    be asked.
    """
    question = require_question(asked.question)
    for earlier in rounds:
        require_short_history(question, earlier)
    if not asked.image.is_file():
        raise DataError("The image is no longer here: upload it again.")
    _require_readable(asked.image)
    try:
        conversations = [
            Conversation(model, asked.image, asked.decoding, asked.history, earlier)
            for model, earlier in zip(models, rounds, strict=True)
        ]
    except DataError:
        raise DataError(_unreadable(asked.image)) from None
    texts = [""] * len(models)
    running = {index: conversation.ask(question) for index, conversation in enumerate(conversations)}
    while running:
        for index, pieces in list(running.items()):
            piece = next(pieces, None)
            if piece is None:
                del running[index]
            else:
                texts[index] += piece
        yield list(texts)


def _require_readable(image: Path) -> None:
    # by the file's header, before anything is decompressed
    try:
        require_image(image)
    except TooLargeError as error:
        raise DataError(f"{image.name} {error.reason}") from None
    except DataError:
        raise DataError(_unreadable(image)) from None


def _unreadable(image: Path) -> str:
    return f"{image.name} is not a readable image: choose another, such as PNG, JPEG or TIFF."
