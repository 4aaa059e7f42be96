"""The web page: an image, questions about it, and the answers of one model, or of two side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

import gradio as gr
from fastapi import FastAPI
from gradio.data_classes import ImageData
from gradio.routes import App
from starlette.requests import Request
from starlette.routing import Mount

from tasks.serving.answers import UPLOAD_BYTES, Example
from tasks.serving.login import Login
from tasks.serving.models import ServedModel
from tasks.serving.page_events import Events, chat_titles, show_base
from tasks.serving.page_fields import bounded_number, endpoints_of, text_only, without_traceback
from tasks.serving.request_filter import Backend, RequestFilter
from tasks.serving.sessions import MAX_SESSIONS, LeanStates, Sessions
from tasks.serving.uploads import Uploads

MAX_QUEUED = 64
# seconds: every ten minutes, uploads older than two hours are deleted
CLEANING = (600, 7200)


class EventOptions(TypedDict, total=False):
    """Options of Gradio's events."""

    concurrency_limit: int | None
    concurrency_id: str
    api_visibility: Literal["private"]
    show_progress: Literal["hidden"]
    queue: bool


# one answer at a time, as the model fills the memory; images are read at the same time
ANSWERING: EventOptions = {"concurrency_limit": 1, "concurrency_id": "answering"}
READING: EventOptions = {"concurrency_limit": 2, "concurrency_id": "reading", "api_visibility": "private"}
HIDDEN: EventOptions = {"api_visibility": "private", "show_progress": "hidden"}
# through the queue, as only its answers can say why a question is refused, but without waiting
ASKING: EventOptions = {**HIDDEN, "concurrency_limit": None, "concurrency_id": "asking"}
PRIVATE: EventOptions = {**HIDDEN, "queue": False}

FONTS = ("ui-sans-serif", "system-ui", "sans-serif")
MONO = ("ui-monospace", "Consolas", "monospace")
CSS = """
.gradio-container { width: 100%; max-width: 1280px !important; margin: 0 auto; }
.dark { color-scheme: dark; }
@media (max-width: 640px) { .chat { height: 320px !important; } }
#title h1 { margin: 0.4rem 0 0.2rem; font-size: 1.5rem; }
#title p { margin: 0; color: var(--body-text-color-subdued); }
#question textarea { font-size: 1rem; }
"""


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
    restart: gr.Button
    settings: Settings


def build_page(
    models: Sequence[ServedModel], about: str, uploads: Uploads, examples: Sequence[Example] = ()
) -> gr.Blocks:
    """Build the page for one model or two; `about` is a line that says which model answers."""
    events = Events(models, examples, uploads)
    with gr.Blocks(title="rsvlm", analytics_enabled=False, delete_cache=CLEANING) as page:
        gr.Markdown(f"# Ask about a satellite image\n{about}", elem_id="title")
        state = gr.State(events.new_state())
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                image, shown_examples = _image(elem_id="image"), _examples(examples)
                settings = _settings(len(models) > 1, all(model.loaded.family.dialogues for model in models))
            with gr.Column(scale=4, min_width=320):
                chats, question = _chats(models), _question()
                restart = gr.Button("Start over", size="sm")
        controls = Controls(image, shown_examples, chats, question, restart, settings)
        _connect_image(controls, state, events)
        _connect_question(controls, state, events)
        _add_api(controls, events, [model.name for model in models])
    # the examples, as Gradio copied them
    uploads.share_existing()
    # queued functions cannot be called directly
    return page.queue(max_size=MAX_QUEUED, api_open=False)


def mount_page(page: gr.Blocks, uploads: Uploads, login: Login | None) -> RequestFilter:
    """Mount the page as an application that loads nothing from elsewhere, behind its request filter."""
    gradio_app = _mount(page, login)
    inner = next(each.app for each in gradio_app.routes if isinstance(each, Mount) and isinstance(each.app, App))
    # Gradio checks file paths only for a launched page, and a mounted page is never launched
    page.has_launched = True
    inner.state_holder = LeanStates()
    inner.state_holder.set_blocks(page)

    def is_member(request: Request) -> bool:
        names = [f"access-token-{unsecure}{inner.cookie_id}" for unsecure in ("", "unsecure-")]
        return login is None or any(request.cookies.get(name) in inner.tokens for name in names)

    return RequestFilter(Backend(gradio_app, endpoints_of(page), uploads, Sessions(page._queue), is_member))


def _mount(page: gr.Blocks, login: Login | None) -> FastAPI:
    page.state_session_capacity = MAX_SESSIONS
    return gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None), page, "/", auth=login, show_error=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None}, footer_links=[], run_history=False,
        max_file_size=UPLOAD_BYTES, ssr_mode=False, mcp_server=False, pwa=False,
        theme=gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=MONO), css=CSS,
        auth_message="Log in to ask the model.",
    )  # fmt: skip


def _image(elem_id: str | None = None) -> gr.Image:
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


def _settings(can_compare: bool, dialogues: bool) -> Settings:
    with gr.Accordion("Settings", open=False):
        temperature = gr.Slider(
            0, 2, value=0, step=0.1, label="Temperature", info="0: greedy decoding; higher: more varied answers."
        )
        max_new_tokens = gr.Slider(
            1, 1024, value=256, step=1, precision=0, label="Maximum length of an answer in tokens"
        )
        remember = gr.Checkbox(dialogues, label="Take earlier questions into account", visible=dialogues)
        compare = gr.Checkbox(True, label="Also ask the base model", visible=can_compare)
    numbers = bounded_number(temperature, "temperature"), bounded_number(max_new_tokens, "max_new_tokens")
    return Settings(*numbers, remember, compare)


def _chats(models: Sequence[ServedModel]) -> list[gr.Chatbot]:
    with gr.Row():
        return [
            gr.Chatbot(
                label=title, height=460, min_width=260, placeholder="Answers appear here.", elem_classes="chat",
                # answers are shown as text: images and links in them are not followed
                render_markdown=False, sanitize_html=True, buttons=["copy"], feedback_options=None,
            )
            for title in chat_titles(models)
        ]  # fmt: skip


def _question() -> gr.Textbox:
    return gr.Textbox(
        label="Question", show_label=False, placeholder="How many planes are there?", submit_btn=True,
        elem_id="question", max_lines=4, autofocus=True,
    )  # fmt: skip


def _connect_image(controls: Controls, state: gr.State, events: Events) -> None:
    image, shown = controls.image, [controls.question, *controls.chats]
    image.clear(events.drop_image, state, shown, **PRIVATE)
    chosen = [image.upload(events.use_image, [image, state], shown, **PRIVATE)]
    if controls.examples is not None:
        chosen.append(controls.examples.click(events.use_example, [controls.examples, state], shown, **PRIVATE))
    for step in chosen:
        step.success(events.show_image, state, image, show_progress="minimal", **READING)


def _connect_question(controls: Controls, state: gr.State, events: Events) -> None:
    question, chats, settings = controls.question, controls.chats, controls.settings
    shown = [question, *chats]
    asked = question.submit(events.ask_in_page, [question, state, *settings], shown, **ASKING)
    # "multiple": a stopped answer runs on until its next token, and must not block the next question
    answered = asked.success(
        events.answer_in_page, state, shown, show_progress="minimal", show_progress_on=chats, trigger_mode="multiple",
        api_visibility="private", **ANSWERING,
    )  # fmt: skip
    answered.success(events.settle, state, shown, trigger_mode="multiple", **PRIVATE)
    answered.failure(events.settle_failure, state, shown, trigger_mode="multiple", **PRIVATE)
    # restore the chats: Gradio writes "Error" over them
    asked.failure(events.settle, state, shown, **PRIVATE)
    question.stop(events.stop, state, shown, **PRIVATE)
    # clearing one chat clears all: no round may stay in the history unseen
    gr.on([controls.restart.click, *(chat.clear for chat in chats)], events.restart, state, shown, **PRIVATE)
    settings.compare.change(show_base, settings.compare, chats[0], **PRIVATE)


def _add_api(controls: Controls, events: Events, names: Sequence[str]) -> None:
    """Add the endpoint /ask for programs, which keeps nothing between calls."""
    with gr.Column(visible=False):
        image, question = _image(), text_only(gr.Textbox(label="question"))
        earlier, model = (
            gr.JSON(label="earlier"),
            without_traceback(gr.Radio(list(names), value=names[-1], label="model")),
        )
        answer, button = gr.Textbox(label="answer"), gr.Button()
    button.click(
        events.ask, [image, question, earlier, model, *controls.settings[:2]], answer,
        api_name="ask", api_description=Events.ask.__doc__, **ANSWERING,
    )  # fmt: skip
