"""The prompt template as the Jinja text that transformers keeps beside a model: what others use of our models."""

from tasks.model.prompt import IMAGE_PLACEHOLDER, SYSTEM

CONTENT = (
    """\
{%- macro text_of(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}
{%- for part in content if part['type'] == 'image' -%}{{ '"""
    + IMAGE_PLACEHOLDER
    + """\\n' }}{%- endfor -%}
{%- for part in content if part['type'] == 'text' -%}{{ part['text'] }}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""
)
CHAT_TEMPLATE = (
    CONTENT
    + """\
{{- bos_token + """
    + repr(SYSTEM)
    + """ -}}
{%- for message in messages -%}
{%- if message['role'] == 'user' -%}{{ 'USER: ' + text_of(message['content']) + ' ASSISTANT:' }}
{%- elif message['role'] == 'assistant' -%}{{ ' ' + text_of(message['content']) + eos_token }}
{%- endif -%}
{%- endfor -%}
"""
)
