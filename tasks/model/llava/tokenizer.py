"""The tokenizer of a model directory of either layout, equal to the one that the model was trained with."""

from pathlib import Path
from typing import Any

from tasks.errors import ModelError
from tasks.model.llava.original_layout import IMAGE_PIECE, IMAGE_PIECE_ID
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER

SENTENCEPIECE, FAST = "tokenizer.model", "tokenizer.json"


def load_tokenizer(folder: Path, config: Any = None) -> Any:
    """The tokenizer of a transformers LLaVA directory; `config` is taken in the place of the directory's own."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, config=config)
    if (folder / SENTENCEPIECE).is_file() and not (folder / FAST).is_file():
        _set_pieces(tokenizer, *_pieces(folder / SENTENCEPIECE))
    return _with_its_spaces(tokenizer)


def load_original_tokenizer(folder: Path) -> Any:
    """The sentencepiece tokenizer of an original LLaVA directory, with <image> in the place of an unused piece."""
    from transformers import AddedToken, LlamaTokenizer, PreTrainedConfig

    if (folder / FAST).is_file() and not (folder / SENTENCEPIECE).is_file():
        # transformers takes an empty one where it does not know a type, as LLaVA's own, and warns at length
        return load_tokenizer(folder, PreTrainedConfig())
    for name in (SENTENCEPIECE, "tokenizer_config.json"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} lacks {name}: copy it from where the model was published.")
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    ids, merges = _pieces(folder / SENTENCEPIECE)
    if ids.pop(IMAGE_PIECE, None) != IMAGE_PIECE_ID:
        raise ModelError(f"{folder}/{SENTENCEPIECE} is not LLaMA's: copy it from where the model was published.")
    _set_pieces(tokenizer, {**ids, IMAGE_PLACEHOLDER: IMAGE_PIECE_ID}, merges)
    tokenizer.add_tokens(AddedToken(IMAGE_PLACEHOLDER, normalized=False, special=True), special_tokens=True)
    return _with_its_spaces(tokenizer)


def require_readable(file: Path) -> None:
    """Raise ModelError where a tokenizer.json or tokenizer.model is damaged; no tokenizer is made of it."""
    if file.name == SENTENCEPIECE:
        _read_pieces(file)
        return
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(file))
    # the library raises a bare Exception
    except Exception as error:
        raise ModelError(f"{file} is damaged ({error}): copy it from where the model was published.") from None


def _with_its_spaces(tokenizer: Any) -> Any:
    """The same tokenizer, which will also be saved with its way of putting spaces."""
    # transformers saves only what it was called with, and reads the file for `legacy` by a way of its own
    if hasattr(tokenizer, "legacy"):
        tokenizer.init_kwargs["legacy"] = tokenizer.legacy
    return tokenizer


def _pieces(file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Pieces by id, and the merges in the order of their scores.

    transformers takes the merges in the order of the ids, where runs of spaces come first; by their scores they
    come last.
    """
    from transformers.convert_slow_tokenizer import generate_merges

    model = _read_pieces(file)
    pieces = [model.id_to_piece(number) for number in range(model.get_piece_size())]
    ids = {piece: number for number, piece in enumerate(pieces)}
    return ids, generate_merges(ids, [(piece, model.get_score(number)) for piece, number in ids.items()])


def _read_pieces(file: Path) -> Any:
    from sentencepiece import SentencePieceProcessor

    try:
        return SentencePieceProcessor(model_file=str(file))
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{file} is damaged ({error}): copy it from where the model was published.") from None


def _set_pieces(tokenizer: Any, ids: dict[str, int], merges: list[tuple[str, str]]) -> None:
    from tokenizers.models import BPE

    tokenizer.backend_tokenizer.model = BPE(vocab=ids, merges=merges, fuse_unk=True, byte_fallback=True)
