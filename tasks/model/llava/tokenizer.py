"""Load the tokenizer of a model directory of either layout, equal to the one that the model was trained with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import ModelError
from tasks.model.configuration import COPY_PUBLISHED, TOKENIZER_CONFIG, require_file
from tasks.model.llava.original_config import IMAGE_PIECE, IMAGE_PIECE_ID
from tasks.model.tokenizer_files import FAST, SENTENCEPIECE, read_pieces
from tasks.prompt_text import IMAGE_PLACEHOLDER

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def load_tokenizer(folder: Path, config: "PreTrainedConfig | None" = None) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a transformers LLaVA directory; `config` replaces the directory's config.json."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, config=config)
    if (folder / SENTENCEPIECE).is_file() and not (folder / FAST).is_file():
        _set_pieces(tokenizer, *_pieces(folder / SENTENCEPIECE))
    return _with_saved_spaces(tokenizer)


def load_original_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load the sentencepiece tokenizer of an original LLaVA directory, with <image> replacing an unused piece."""
    from transformers import AddedToken, LlamaTokenizer, PreTrainedConfig

    if (folder / FAST).is_file() and not (folder / SENTENCEPIECE).is_file():
        # the original's model type is unknown to transformers, which would warn at length: give it an empty config
        return load_tokenizer(folder, PreTrainedConfig())
    for name in (SENTENCEPIECE, TOKENIZER_CONFIG):
        require_file(folder, name)
    tokenizer = LlamaTokenizer.from_pretrained(folder)
    ids, merges = _pieces(folder / SENTENCEPIECE)
    if ids.pop(IMAGE_PIECE, None) != IMAGE_PIECE_ID:
        raise ModelError(f"{folder}/{SENTENCEPIECE} is not LLaMA's: {COPY_PUBLISHED}.")
    _set_pieces(tokenizer, {**ids, IMAGE_PLACEHOLDER: IMAGE_PIECE_ID}, merges)
    tokenizer.add_tokens(AddedToken(IMAGE_PLACEHOLDER, normalized=False, special=True), special_tokens=True)
    return _with_saved_spaces(tokenizer)


def _with_saved_spaces(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """The same tokenizer, changed so that saving keeps its handling of spaces (`legacy`)."""
    # transformers saves only constructor arguments, and reads `legacy` from the file differently
    if hasattr(tokenizer, "legacy"):
        tokenizer.init_kwargs["legacy"] = tokenizer.legacy
    return tokenizer


def _pieces(file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The id of each piece, and the merges ordered by score.

    transformers orders merges by id, which puts runs of spaces first; by score they come last.
    """
    from transformers.convert_slow_tokenizer import generate_merges

    model = read_pieces(file)
    pieces = [model.id_to_piece(number) for number in range(model.get_piece_size())]
    ids = {piece: number for number, piece in enumerate(pieces)}
    return ids, generate_merges(ids, [(piece, model.get_score(number)) for piece, number in ids.items()])


def _set_pieces(tokenizer: Any, ids: dict[str, int], merges: list[tuple[str, str]]) -> None:
    from tokenizers.models import BPE

    tokenizer.backend_tokenizer.model = BPE(vocab=ids, merges=merges, fuse_unk=True, byte_fallback=True)
