"""The prompt template as the Jinja text that transformers keeps beside a model: what others use of our models."""

from typing import Any

from tasks.model.llava.prompt import IMAGE_PLACEHOLDER, SYSTEM

# GAP stands for the space that makes transformers encode what follows a special token as the reference does.
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


def chat_template(tokenizer: Any) -> str:
    """The template whose text this tokenizer encodes token for token as `tasks.model.llava.prompt` does."""
    # where a tokenizer has no token for the beginning, nothing stands there
    begin = "''" if tokenizer.bos_token is None else "bos_token + 'GAP'"
    return TEMPLATE.replace("BEGIN", begin).replace("GAP", _gap(tokenizer))


def _gap(tokenizer: Any) -> str:
    """What must stand after a special token, so that a text is encoded there as it is at the beginning."""
    special = tokenizer.bos_token or tokenizer.eos_token
    expected, after_special = (tokenizer.encode(text, add_special_tokens=False) for text in ("A", f"{special}A"))
    return "" if after_special[1:] == expected else " "
