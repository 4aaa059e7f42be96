"""Tiny processors of the generic families: real classes and each maker's chat template, with a byte-level tokenizer.

Sizes that a tiny model must share: images are tiles of SIDE pixels with patches of PATCH (Qwen3-VL: 16), of which
Qwen, InternVL and Idefics3 merge 2 x 2 into one token.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, ProcessorMixin

    from tasks.model.chat.processor import ChatProcessor

SIDE, PATCH, PATCH_QWEN3 = 56, 14, 16
# tokens of one tile: before and after merging 2 x 2
TILE_TOKENS = (SIDE // PATCH) ** 2
MERGED_TOKENS = TILE_TOKENS // 4
TEXTS = ("Describe the image.", "There are two planes at the airport.", "user assistant system", "Is there a road?")

QWEN2_5 = """\
{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
QWEN3 = """\
{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}{%- for part in message.content %}\
{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}\
{%- elif 'text' in part %}{{- part.text }}{%- endif %}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endfor %}\
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
# as published: an answer ends without an end token, after "<\\s> "
NEXT_MISTRAL = """\
{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}\
{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\\n' }}{% endfor %}\
{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}\
{{ ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + '<\\\\s> ' }}\
{% endif %}{% endfor %}"""
# as published: an answer follows "assistant \\n", and a prompt ends with "assistant\\n"
ONEVISION = """\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}\
{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}\
{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\\n' + part['text'] }}{% endfor %}\
{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
INTERNVL = """\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% for part in message['content'] %}\
{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}\
{{ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
SMOL = """\
<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}\
{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}\
{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"""

QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SMOL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>")
TILE_NAMES = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
INTERN_NAMES = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


class Member(NamedTuple):
    """Special tokens of a member's tokenizer, its processor classes and their arguments."""

    tokens: tuple[str, ...]
    roles: dict[str, Any]
    image_processor: str
    image_options: dict[str, Any]
    processor: str
    options: dict[str, Any]
    template: str | None


class Pair(NamedTuple):
    """A directory with rsvlm's processor of it and transformers' own."""

    folder: Path
    ours: "ChatProcessor"
    own: "ProcessorMixin"


def _qwen(patch: int) -> dict[str, Any]:
    factor = (2 * patch) ** 2
    size = {"shortest_edge": 4 * factor, "longest_edge": 24 * factor}
    return {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2, "size": size}


def _smol(name: str) -> Member:
    sizes = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    roles = {"eos_token": "<end_of_utterance>", "pad_token": "<|im_start|>", "bos_token": "<|im_start|>"}
    tokens = (*SMOL_TOKENS, "<global-img>", *TILE_NAMES)
    return Member(
        tokens, roles, f"{name}ImageProcessorPil", sizes, f"{name}Processor", {"image_seq_len": MERGED_TOKENS}, SMOL
    )


CHATML = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
SQUARE = {"height": SIDE, "width": SIDE}
PINPOINTS = [[SIDE * rows, SIDE * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)]
MEMBERS = {
    "qwen2_5_vl": Member(
        (*QWEN_TOKENS, *QWEN_VISION),
        CHATML,
        "Qwen2VLImageProcessorPil",
        _qwen(PATCH),
        "Qwen2_5_VLProcessor",
        {},
        QWEN2_5,
    ),
    "qwen3_vl": Member(
        (*QWEN_TOKENS, *QWEN_VISION),
        CHATML,
        "Qwen2VLImageProcessorPil",
        _qwen(PATCH_QWEN3),
        "Qwen3VLProcessor",
        {},
        QWEN3,
    ),
    "llava_next": Member(
        ("<unk>", "<s>", "</s>", "<image>", "<pad>"),
        {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
        "LlavaNextImageProcessorPil",
        {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE, "image_grid_pinpoints": PINPOINTS[1:5]},
        "LlavaNextProcessor",
        {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
        NEXT_MISTRAL,
    ),
    "llava_onevision": Member(
        (*QWEN_TOKENS, "<image>", "<video>"),
        CHATML,
        "LlavaOnevisionImageProcessorPil",
        {"size": SQUARE, "image_grid_pinpoints": PINPOINTS},
        "LlavaOnevisionProcessor",
        {
            "num_image_tokens": TILE_TOKENS,
            "vision_feature_select_strategy": "full",
            "vision_aspect_ratio": "anyres_max_4",
        },
        ONEVISION,
    ),
    "internvl": Member(
        (*QWEN_TOKENS, *INTERN_NAMES.values()),
        {**CHATML, "extra_special_tokens": INTERN_NAMES},
        "GotOcr2ImageProcessorPil",
        {"size": SQUARE, "crop_to_patches": True, "min_patches": 1, "max_patches": 4},
        "InternVLProcessor",
        {"image_seq_length": MERGED_TOKENS},
        INTERNVL,
    ),
    "idefics3": _smol("Idefics3"),
    "smolvlm": _smol("SmolVLM"),
    "paligemma": Member(
        ("<pad>", "<eos>", "<bos>", "<unk>", "<image>"),
        {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
        "SiglipImageProcessorPil",
        {"size": SQUARE, "image_seq_length": TILE_TOKENS},
        "PaliGemmaProcessor",
        {},
        None,
    ),
}


def tiny_processor(member: str, folder: Path) -> "ProcessorMixin":
    """Write the processor files of a member (a model type) to a folder, and return transformers' processor of them."""
    import transformers

    from tasks.model.chat.hub_processor import image_only

    known = MEMBERS[member]
    image_processor = getattr(transformers, known.image_processor)(**known.image_options)
    if "image_seq_length" in known.image_options:
        image_processor.image_seq_length = known.image_options["image_seq_length"]
    processor = image_only(known.processor)(
        image_processor, _tokenizer(member), chat_template=known.template, **known.options
    )
    processor.save_pretrained(folder)
    return processor


def _tokenizer(member: str) -> "PreTrainedTokenizerFast":
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    known = MEMBERS[member]
    tokenizer = Tokenizer.from_str(_bytes())
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in known.tokens])
    if member == "llava_next":
        # LLaMA's tokenizer starts every text with its start token
        start = known.roles["bos_token"]
        tokenizer.post_processor = TemplateProcessing(
            single=f"{start} $A", pair=f"{start} $A $B:1", special_tokens=[(start, tokenizer.token_to_id(start))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=4096, **known.roles)


@cache
def _bytes() -> str:
    """A byte-level tokenizer with a few merges, as JSON."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 2, trainer)
    return tokenizer.to_str()
