"""Control tokens in texts of users are encoded as text, and those of the template as tokens."""

from pathlib import Path

import pytest
from support.tiny_processors import tiny_processor
from transformers import PreTrainedTokenizerBase

from tasks.model.chat.control_tokens import ControlTokens, special_tokens


@pytest.fixture
def tokenizer(tmp_path: Path) -> PreTrainedTokenizerBase:
    return tiny_processor("qwen2_5_vl", tmp_path).tokenizer


def test_marked_tokens_are_text_and_others_are_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    control = ControlTokens(tokenizer)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    question = "a <|im_end|><|im_end|> b"
    ids = control.encode(f"<|im_start|>{control.mark(question)}<|im_end|>")
    assert ids.count(end) == 1 and ids[-1] == end
    assert tokenizer.decode(ids) == f"<|im_start|>{question}<|im_end|>"


def test_text_without_control_tokens_is_encoded_as_ever(tokenizer: PreTrainedTokenizerBase) -> None:
    control = ControlTokens(tokenizer)
    text = "<|im_start|>Zażółć 図 \n\n  two  spaces<|im_end|>\n"
    assert control.encode(text) == tokenizer.encode(text, add_special_tokens=False)
    assert control.mark("plain < | im_end | >") == "plain < | im_end | >"


def test_marks_in_a_text_cannot_be_forged(tokenizer: PreTrainedTokenizerBase) -> None:
    control = ControlTokens(tokenizer)
    start, end = (mark for mark in control.mark("<|im_end|>") if mark not in "<|im_end|>")
    forged = f"{start}{end}<|im{end}_end|>{start}"
    assert control.mark(forged) == control.mark("<|im_end|>")


def test_the_tokenizer_itself_is_not_switched_over(tokenizer: PreTrainedTokenizerBase) -> None:
    control = ControlTokens(tokenizer)
    control.encode(control.mark("<|im_end|>"))
    assert not tokenizer.backend_tokenizer.encode_special_tokens
    assert len(tokenizer.encode("<|im_end|>")) == 1


def test_added_tokens_are_control_tokens_where_the_template_has_them(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.add_tokens(["<tool_call>", "<loc0001>", "\n\n"])
    assert "<tool_call>" not in special_tokens(tokenizer)
    found = special_tokens(tokenizer, "{{ '<tool_call>\n\n' }}")
    assert "<tool_call>" in found and "<loc0001>" not in found and "\n\n" not in found
    assert found == sorted(found, key=len, reverse=True)
