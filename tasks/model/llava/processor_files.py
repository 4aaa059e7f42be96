"""Write the processor's files next to a model, so that it is later prompted and shown images as in training."""

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.model.configuration import make_portable
from tasks.model.llava.processor import LlavaProcessor
from tasks.model.llava.prompt import IMAGE_PLACEHOLDER, SYSTEM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The prompt as transformers' Jinja template. BEGIN is the start token; GAP is the space that makes a tokenizer encode
# the text after a special token as the reference does.
TEMPLATE = (
    """\
{%- macro text_of(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}
{%- for part in content if part['type'] == 'image' -%}{{ '"""
    + IMAGE_PLACEHOLDER
    + """GAP\\n' }}{%- endfor -%}
{%- for part in content if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{{- BEGIN + """
    + repr(SYSTEM)
    + """ -}}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}{{ 'USER: ' + text_of(message['content']) + ' ASSISTANT:' }}
{%- elif message['role'] == 'assistant' -%}{{ ' ' + text_of(message['content']) + eos_token }}
{%- endif -%}
{%- endfor -%}
"""
)


def save_processor(processor: LlavaProcessor, folder: Path) -> None:
    """Write tokenizer, image processor and chat template in transformers' format.

    The template is chat_template.jinja. Padding is in preprocessor_config.json and again in processor_config.json,
    which newer versions of transformers prefer.
    """
    from transformers import LlavaProcessor

    size = processor.image_processor.crop_size
    side = isqrt(processor.image_tokens)
    combined = LlavaProcessor(
        image_processor=processor.image_processor,
        tokenizer=processor.tokenizer,
        patch_size=size["height"] // side,
        # one token more than a square of patches is the class token
        vision_feature_select_strategy="default" if side**2 == processor.image_tokens else "full",
        num_additional_image_tokens=1,
        chat_template=chat_template(processor.tokenizer),
    )
    combined.save_pretrained(folder)
    processor.image_processor.save_pretrained(folder)
    make_portable(folder)


def chat_template(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The Jinja template whose text this tokenizer encodes token for token as `tasks.model.llava.prompt` does."""
    begin = "''" if tokenizer.bos_token is None else "bos_token + 'GAP'"
    return TEMPLATE.replace("BEGIN", begin).replace("GAP", _gap(tokenizer))


def _gap(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The text needed after a special token so that what follows is encoded as at the beginning of a text."""
    special = tokenizer.bos_token or tokenizer.eos_token
    expected, after_special = (tokenizer.encode(text, add_special_tokens=False) for text in ("A", f"{special}A"))
    return "" if after_special[1:] == expected else " "
