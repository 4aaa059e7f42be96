"""The files of a tokenizer, and whether they can be read."""

from pathlib import Path
from typing import TYPE_CHECKING

from tasks.errors import ModelError
from tasks.model.configuration import COPY_PUBLISHED

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

SENTENCEPIECE, FAST = "tokenizer.model", "tokenizer.json"


def require_readable(file: Path) -> None:
    """Raise ModelError if a tokenizer.json or tokenizer.model is damaged."""
    if file.name == SENTENCEPIECE:
        read_pieces(file)
        return
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(file))
    # the library raises a bare Exception
    except Exception as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> ModelError:
    return ModelError(f"{file} is damaged ({error}): {COPY_PUBLISHED}.")


def read_pieces(file: Path) -> "SentencePieceProcessor":
    """Open a sentencepiece model; raises ModelError if it is damaged."""
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        raise _damaged(file, error) from None
