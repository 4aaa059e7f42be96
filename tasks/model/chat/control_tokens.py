"""Encode texts of users in a rendered conversation, so that a control token in them ("<|im_end|>") stays text.

Before a conversation is rendered, control tokens in its texts are put between two private-use characters. What is
between them in the rendered text is encoded by a second tokenizer that knows no control tokens; one tokenizer that is
switched over would do so under the eyes of other threads.
"""

import re
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tasks.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

START, END = "\ue0f0", "\ue0f1"
MARKED = re.compile(f"{START}(.*?){END}", re.DOTALL)


def special_tokens(tokenizer: "PreTrainedTokenizerBase", text: str = "") -> list[str]:
    """A tokenizer's control tokens, the longest first: the special ones, and other added ones that `text` holds."""
    added = tokenizer.added_tokens_decoder.values()
    found = {token.content for token in added if token.special or (token.content in text and token.content.strip())}
    return sorted(found, key=len, reverse=True)


@dataclass(frozen=True)
class ControlTokens:
    """The control tokens of a tokenizer; `source` is the chat template, which may have some that are not special."""

    tokenizer: "PreTrainedTokenizerBase"
    source: str = ""

    def mark(self, text: str) -> str:
        """A text with its control tokens marked; marks of its own are removed."""
        bare = text.replace(START, "").replace(END, "")
        return self._pattern.sub(rf"{START}\g<0>{END}", bare)

    def encode(self, text: str, continued: bool = False) -> list[int]:
        """Token ids of a rendered text without a start token; marked control tokens are encoded as text.

        `continued`: the text follows other tokens.
        Raises DataError if the tokenizer makes a control token of its text in any case.
        """
        ids: list[int] = []
        for number, piece in enumerate(MARKED.split(text)):
            if piece and number % 2 == 0:
                ids += self._encode(self.tokenizer, piece, continued or bool(ids))
            elif piece:
                literal = self._encode(self._literal, piece, continued or bool(ids), split_special_tokens=True)
                if self.tokenizer.convert_tokens_to_ids(piece) in literal:
                    raise DataError(
                        f"A text holds {piece}, which the model's tokenizer cannot read as text: remove it."
                    )
                ids += literal
        return ids

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # without tokens: a pattern that never matches
        return re.compile("|".join(map(re.escape, special_tokens(self.tokenizer, self.source))) or "(?!)")

    @cached_property
    def _literal(self) -> "PreTrainedTokenizerBase":
        return deepcopy(self.tokenizer)

    def _encode(self, tokenizer: "PreTrainedTokenizerBase", piece: str, continued: bool, **options: bool) -> list[int]:
        """Ids of a piece; a `continued` one without the space that sentencepiece adds at the start of a text."""
        # not verbose: callers handle texts that are too long
        options |= {"add_special_tokens": False, "verbose": False}
        if continued:
            # a line break never merges with the next token, and absorbs the added space
            before, ids = tokenizer.encode("\n", **options), tokenizer.encode(f"\n{piece}", **options)
            if ids[: len(before)] == before:
                return list(ids[len(before) :])
        return list(tokenizer.encode(piece, **options))
