"""A conversation of the page as a file to keep: JSON for programs, Markdown for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from tasks.serving.answers import ImageQuestion

VERSION = 1
Format = Literal["json", "md"]
FORMATS: tuple[Format, ...] = ("json", "md")


class Exchange(NamedTuple):
    """A question about an image, and the answer of each model by its index."""

    asked: ImageQuestion
    answers: Mapping[int, str]


class NamedModel(NamedTuple):
    """A model's name in the API (base, tuned or model) and the one that people know."""

    name: str
    title: str


def export_conversation(kind: Format, models: Sequence[NamedModel], exchanges: Sequence[Exchange]) -> str:
    """The text of the file; all exchanges are about one image, and there is at least one."""
    return _as_json(models, exchanges) if kind == "json" else _as_markdown(models, exchanges)


def _as_json(models: Sequence[NamedModel], exchanges: Sequence[Exchange]) -> str:
    found = {
        "version": VERSION,
        "image": exchanges[0].asked.image.name,
        "models": {model.name: model.title for model in models},
        "rounds": [
            {
                "question": asked.question,
                "answers": {models[index].name: text for index, text in answers.items()},
                "temperature": asked.decoding.temperature,
                "max_new_tokens": asked.decoding.max_new_tokens,
                "history": asked.history,
            }
            for asked, answers in exchanges
        ],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _as_markdown(models: Sequence[NamedModel], exchanges: Sequence[Exchange]) -> str:
    lines = [f"# Conversation about {exchanges[0].asked.image.name}", ""]
    for asked, answers in exchanges:
        lines += [f"## {' '.join(asked.question.split())}", ""]
        # the tuned model first, as on the page
        for index in sorted(answers, reverse=True):
            lines += [f"**{models[index].title}**", "", *_quoted(answers[index]), ""]
    return "\n".join(lines)


def _quoted(text: str) -> list[str]:
    return [f"> {line}".rstrip() for line in (text or "(empty)").splitlines()]
