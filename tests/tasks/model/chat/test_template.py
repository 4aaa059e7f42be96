"""What a template writes around answers, and the templates that cannot be trained."""

from pathlib import Path

import pytest
from support.tiny_processors import MEMBERS, QWEN3, tiny_processor
from transformers import PreTrainedTokenizerBase

from tasks.errors import ModelError
from tasks.model.chat.template import AnswerForm, ChatTemplate, count_images

ROUNDS = [("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d")]


@pytest.fixture
def tokenizer(tmp_path: Path) -> PreTrainedTokenizerBase:
    return tiny_processor("qwen3_vl", tmp_path).tokenizer


@pytest.mark.parametrize(
    ("member", "form"),
    [
        ("qwen2_5_vl", AnswerForm("", "<|im_end|>", "\n", exact=True)),
        ("internvl", AnswerForm("", "<|im_end|>", "\n", exact=True)),
        ("smolvlm", AnswerForm(" ", "<end_of_utterance>", "\n", exact=True)),
        ("llava_onevision", AnswerForm("", "<|im_end|>", "", exact=False)),
        ("llava_next", AnswerForm(" ", "</s>", "", exact=False)),
    ],
)
def test_the_form_of_answers(member: str, form: AnswerForm, tmp_path: Path) -> None:
    own = tiny_processor(member, tmp_path)
    template = ChatTemplate(own.tokenizer, str(MEMBERS[member].template))
    assert template.form == form
    composed = template.compose(ROUNDS, False)
    assert [composed.text[start:end] for start, end in composed.answers] == [
        f"{form.lead}b{form.end}",
        f"{form.lead}d{form.end}",
    ]


def test_a_thinking_template_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    # an answer follows "<think>" in the prompt, and given ones do not
    source = QWEN3.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}")
    assert source != QWEN3
    with pytest.raises(ModelError, match=r"The chat template opens answers with .*<think>"):
        ChatTemplate(tokenizer, source).compose(ROUNDS, False)


def test_a_template_that_drops_parts_of_earlier_answers_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    # as Qwen3's own: what an earlier answer says before "</think>" is left out
    source = QWEN3.replace(
        "{{- part.text }}",
        "{{- part.text if loop.last and message == messages[-1] else part.text.split('</think>')[-1] }}",
    )
    template = ChatTemplate(tokenizer, source)
    assert template.compose(ROUNDS, False).text == ChatTemplate(tokenizer, QWEN3).compose(ROUNDS, False).text
    thought = [("human", "a"), ("gpt", "x</think>b"), ("human", "c"), ("gpt", "d")]
    with pytest.raises(ModelError, match="changes an answer or an earlier turn"):
        template.compose(thought, False)


def test_a_template_that_changes_answers_is_refused(tokenizer: PreTrainedTokenizerBase) -> None:
    template = ChatTemplate(tokenizer, QWEN3.replace("{{- part.text }}", "{{- part.text | trim }}"))
    assert template.compose(ROUNDS, False).answers
    with pytest.raises(ModelError, match="changes an answer or an earlier turn"):
        template.compose([("human", "a"), ("gpt", "b ")], False)


def test_an_answer_without_an_end_needs_an_end_token(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.eos_token = None
    template = ChatTemplate(tokenizer, QWEN3.replace("<|im_end|>", "###"))
    with pytest.raises(ModelError, match="The tokenizer has no end token"):
        template.compose(ROUNDS, False)


def test_images_come_first_in_the_turn_that_shows_them(tokenizer: PreTrainedTokenizerBase) -> None:
    template = ChatTemplate(tokenizer, QWEN3)
    turns = [("human", "a"), ("gpt", "b"), ("human", "What is <image> here?")]
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    expected = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\n"
    assert template.compose(turns, True).text.startswith(f"{expected}{image}What is")
    assert template.compose(turns, False).text.startswith(f"{expected}What is <image> here?")
    assert count_images(turns) == 1
