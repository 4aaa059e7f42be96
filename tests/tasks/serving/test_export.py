"""A conversation of the page as JSON and as Markdown."""

import json
from pathlib import Path

from tasks.inference.engines.decoding import Decoding
from tasks.serving.answers import ImageQuestion
from tasks.serving.export import Exchange, NamedModel, export_conversation

MODELS = [NamedModel("base", "llava-hf/llava-1.5-7b-hf"), NamedModel("tuned", "night, final")]


def asked(question, **options):
    return ImageQuestion(Path("uploads/x/harbor.tif"), question, Decoding(64, 0.5), **options)


EXCHANGES = [
    Exchange(asked("Is this\na harbor?"), {0: "Yes.\nIt is.", 1: "yes"}),
    Exchange(asked("How many ships?", history="independent"), {1: ""}),
]


def test_json_has_each_question_with_its_settings_and_the_answers_by_model():
    found = json.loads(export_conversation("json", MODELS, EXCHANGES))
    assert found == {
        "version": 1,
        "image": "harbor.tif",
        "models": {"base": "llava-hf/llava-1.5-7b-hf", "tuned": "night, final"},
        "rounds": [
            {
                "question": "Is this\na harbor?",
                "answers": {"base": "Yes.\nIt is.", "tuned": "yes"},
                "temperature": 0.5,
                "max_new_tokens": 64,
                "history": "predicted",
            },
            {
                "question": "How many ships?",
                "answers": {"tuned": ""},
                "temperature": 0.5,
                "max_new_tokens": 64,
                "history": "independent",
            },
        ],
    }


def test_markdown_quotes_the_answers_under_the_models_names_the_tuned_one_first():
    assert (
        export_conversation("md", MODELS, EXCHANGES)
        == """# Conversation about harbor.tif

## Is this a harbor?

**night, final**

> yes

**llava-hf/llava-1.5-7b-hf**

> Yes.
> It is.

## How many ships?

**night, final**

> (empty)
"""
    )
