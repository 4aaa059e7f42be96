"""The components of the page: image, question, suggestions, answers, examples, settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from gradio.data_classes import ImageData

from tasks.serving.answers import Example
from tasks.serving.export import FORMATS, Format
from tasks.serving.models import ServedModel
from tasks.serving.page_events import chat_titles
from tasks.serving.page_fields import bounded_number

SAVED_AS: Mapping[Format, str] = {"json": "JSON", "md": "Markdown"}


class Settings(NamedTuple):
    """The controls for how questions are answered."""

    temperature: gr.Slider
    max_new_tokens: gr.Slider
    remember: gr.Checkbox
    compare: gr.Checkbox


class Controls(NamedTuple):
    """The components of the page."""

    image: gr.Image
    examples: gr.Dataset | None
    chats: list[gr.Chatbot]
    question: gr.Textbox
    suggestions: gr.Dataset | None
    buttons: "Buttons"
    settings: Settings


class Buttons(NamedTuple):
    """The buttons under the answers; those that save the conversation, one per format, are hidden without an answer."""

    restart: gr.Button
    save: list[gr.DownloadButton]


def add_controls(models: Sequence[ServedModel], examples: Sequence[Example], suggestions: Sequence[str]) -> Controls:
    """Add the components of the page to it; those of `ask`, `answers` and `more` are placed by the style sheet."""
    with gr.Row(elem_id="page"):
        with gr.Column(elem_id="ask", min_width=0):
            image, question = add_image("image"), _question()
            suggested = _suggestions(suggestions)
        with gr.Column(elem_id="answers", min_width=0):
            chats, buttons = _chats(models), _buttons()
        with gr.Column(elem_id="more", min_width=0):
            shown_examples, settings = _examples(examples), _settings(models)
    return Controls(image, shown_examples, chats, question, suggested, buttons, settings)


def add_image(elem_id: str | None = None) -> gr.Image:
    """Add an image that takes uploads alone and hands the file over as it is."""
    image = gr.Image(
        label="Image", type="filepath", sources=["upload", "clipboard"], format="png", height=320, buttons=[],
        elem_id=elem_id,
    )  # fmt: skip
    move = image.async_move_resource_to_block_cache

    async def move_to_cache(path: str | Path | None) -> str | None:
        if str(path).lower().startswith(("http://", "https://")):
            raise gr.Error("Send the image itself: this server fetches no addresses.", print_exception=False)
        return await move(path)

    # Gradio's own methods would fetch addresses of any size, clip 16-bit images and turn a broken file into "Error".
    # For a subclass it would write a file next to this one.
    vars(image).update(preprocess=_path_of, async_move_resource_to_block_cache=move_to_cache)
    return image


def _path_of(payload: ImageData | None) -> str | None:
    if payload is not None and payload.path is None:
        raise gr.Error("Send the image as a file.", print_exception=False)
    return None if payload is None else str(payload.path)


def _examples(examples: Sequence[Example]) -> gr.Dataset | None:
    if not examples:
        return None
    return gr.Dataset(
        components=["image"], samples=[[str(example.image)] for example in examples], type="index", label="Examples"
    )


def _suggestions(questions: Sequence[str]) -> gr.Dataset | None:
    if not questions:
        return None
    return gr.Dataset(
        components=["textbox"], samples=[[question] for question in questions], type="index",
        label="Suggested questions", elem_id="suggestions",
    )  # fmt: skip


def _buttons() -> Buttons:
    with gr.Row():
        return Buttons(
            gr.Button("Start over", size="sm", min_width=100),
            [
                gr.DownloadButton(
                    f"Save as {SAVED_AS[kind]}", size="sm", min_width=100, visible=False, elem_id=f"save-{kind}"
                )
                for kind in FORMATS
            ],
        )


def _settings(models: Sequence[ServedModel]) -> Settings:
    with gr.Accordion("Settings", open=False):
        temperature = gr.Slider(
            0, 2, value=0, step=0.1, label="Temperature", info="0: greedy decoding; higher: more varied answers."
        )
        max_new_tokens = gr.Slider(
            1, 1024, value=256, step=1, precision=0, label="Maximum length of an answer in tokens"
        )
        dialogues = all(model.loaded.family.dialogues for model in models)
        remember = gr.Checkbox(dialogues, label="Take earlier questions into account", visible=dialogues)
        base = models[0].title
        label = f"Also ask the base model{f', {base}' if base else ''}"
        compare = gr.Checkbox(True, label=label, visible=len(models) > 1)
    numbers = bounded_number(temperature, "temperature"), bounded_number(max_new_tokens, "max_new_tokens")
    return Settings(*numbers, remember, compare)


def _chats(models: Sequence[ServedModel]) -> list[gr.Chatbot]:
    """The chats in the order of the models; on the page the tuned model's comes first."""
    with gr.Row():
        shown = [
            gr.Chatbot(
                label=title, height=460, min_width=260, placeholder="Answers appear here.", elem_classes="chat",
                # answers are shown as text: images and links in them are not followed
                render_markdown=False, sanitize_html=True, buttons=["copy"], feedback_options=None,
            )
            for title in reversed(chat_titles(models))
        ]  # fmt: skip
    return shown[::-1]


def _question() -> gr.Textbox:
    return gr.Textbox(
        label="Question", show_label=False, placeholder="How many planes are there?", submit_btn=True,
        elem_id="question", max_lines=4, autofocus=True,
    )  # fmt: skip
