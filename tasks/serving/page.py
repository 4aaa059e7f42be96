"""The web page: an image, questions about it, and one model's answers or two models' side by side."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr
from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Mount

from tasks.serving.answers import UPLOAD_BYTES, Example
from tasks.serving.login import Login
from tasks.serving.models import Speaker
from tasks.serving.page_events import Events, names_of, show_base
from tasks.serving.page_fields import endpoints_of, number_within, text_alone, told_alone
from tasks.serving.page_session import MAX_SESSIONS, LeanStates
from tasks.serving.request_filter import Behind, Gate
from tasks.serving.sessions import Sessions
from tasks.serving.uploads import Uploads

MAX_WAITING = 64
# every ten minutes, what was sent more than two hours ago is deleted
CLEANING = (600, 7200)
# one answer at a time: a model's memory is not shared; images are read beside it
ANSWERING: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "answering"}
READING: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "reading", "api_visibility": "private"}
UNSEEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# through the queue, which alone can tell why a question is refused, but behind nobody
ASKING: dict[str, Any] = {**UNSEEN, "concurrency_limit": None, "concurrency_id": "asking"}
PRIVATE: dict[str, Any] = {**UNSEEN, "queue": False}

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
    """How answers are given."""

    temperature: gr.Slider
    max_new_tokens: gr.Slider
    remember: gr.Checkbox
    compare: gr.Checkbox


class Controls(NamedTuple):
    """What a visitor sees and turns."""

    image: gr.Image
    examples: gr.Dataset | None
    chats: list[gr.Chatbot]
    question: gr.Textbox
    begin: gr.Button
    settings: Settings


def build_page(
    speakers: Sequence[Speaker], about: str, uploads: Uploads, examples: Sequence[Example] = ()
) -> gr.Blocks:
    """The page for one speaker or, side by side, two; `about` says in a line what model answers."""
    events = Events(speakers, examples, uploads)
    with gr.Blocks(title="rsvlm", analytics_enabled=False, delete_cache=CLEANING) as page:
        gr.Markdown(f"# Ask about a satellite image\n{about}", elem_id="title")
        talk = gr.State(events.new_talk())
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                image, shown = _image(elem_id="image"), _examples(examples)
                settings = _settings(len(speakers) > 1)
            with gr.Column(scale=4, min_width=320):
                chats, question = _chats(speakers), _question()
                begin = gr.Button("Start over", size="sm")
        controls = Controls(image, shown, chats, question, begin, settings)
        _connect_image(controls, talk, events)
        _connect_question(controls, talk, events)
        _add_api(controls, events, [speaker.name for speaker in speakers])
    # the examples, as Gradio laid them down
    uploads.share()
    # nobody but the queue starts what waits its turn
    return page.queue(max_size=MAX_WAITING, api_open=False)


def mounted(page: gr.Blocks, uploads: Uploads, login: Login | None) -> Gate:
    """The page as an application of its own, which loads nothing from elsewhere, behind its gate."""
    gradio_app = _mounted(page, login)
    inner: Any = next(route.app for route in gradio_app.routes if isinstance(route, Mount))
    # Gradio looks at files' paths only once a page was launched, and a mounted one never is
    page.has_launched = True
    inner.state_holder = LeanStates()
    inner.state_holder.set_blocks(page)

    def is_member(request: Request) -> bool:
        names = [f"access-token-{unsecure}{inner.cookie_id}" for unsecure in ("", "unsecure-")]
        return login is None or any(request.cookies.get(name) in inner.tokens for name in names)

    return Gate(Behind(gradio_app, endpoints_of(page), uploads, Sessions(page._queue), is_member))


def _mounted(page: gr.Blocks, login: Login | None) -> FastAPI:
    plain: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    page.state_session_capacity = MAX_SESSIONS
    return gr.mount_gradio_app(
        FastAPI(**plain), page, "/", app_kwargs=plain, auth=login, show_error=False, footer_links=[],
        run_history=False, max_file_size=UPLOAD_BYTES, ssr_mode=False, mcp_server=False, pwa=False,
        theme=gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=MONO), css=CSS,
        auth_message="Log in to ask the model.",
    )  # fmt: skip


def _image(**options: Any) -> gr.Image:
    image = gr.Image(
        label="Image", type="filepath", sources=["upload", "clipboard"], format="png", height=320, buttons=[], **options
    )
    fetch = image.async_move_resource_to_block_cache

    async def take(place: Any) -> str | None:
        if str(place).lower().startswith(("http://", "https://")):
            raise gr.Error("Send the image itself: this server fetches none.", print_exception=False)
        return await fetch(place)

    # Gradio itself would fetch addresses of any size, clip 16 bits and turn a broken file into "Error". A class of
    # our own would make it write a file beside this one.
    vars(image).update(preprocess=_path_in, async_move_resource_to_block_cache=take)
    return image


def _path_in(payload: Any) -> str | None:
    if payload is not None and payload.path is None:
        raise gr.Error("Send the image as a file.", print_exception=False)
    return None if payload is None else str(payload.path)


def _examples(examples: Sequence[Example]) -> gr.Dataset | None:
    if not examples:
        return None
    return gr.Dataset(
        components=["image"], samples=[[str(example.image)] for example in examples], type="index", label="Examples"
    )


def _settings(two: bool) -> Settings:
    with gr.Accordion("Settings", open=False):
        temperature = gr.Slider(
            0, 2, value=0, step=0.1, label="Temperature", info="0: always the likeliest answer; more: more varied."
        )
        max_new_tokens = gr.Slider(1, 1024, value=256, step=1, precision=0, label="Longest answer, in tokens")
        remember = gr.Checkbox(True, label="Answers take the earlier questions into account")
        compare = gr.Checkbox(True, label="Ask the base model as well", visible=two)
    numbers = number_within(temperature, "temperature"), number_within(max_new_tokens, "max_new_tokens")
    return Settings(*numbers, remember, compare)


def _chats(speakers: Sequence[Speaker]) -> list[gr.Chatbot]:
    with gr.Row():
        return [
            gr.Chatbot(
                label=name, height=460, min_width=260, placeholder="Answers appear here.", elem_classes="chat",
                # what a model says is text, never a page: no image or link in it is followed
                render_markdown=False, sanitize_html=True, buttons=["copy"], feedback_options=None,
            )
            for name in names_of(speakers)
        ]  # fmt: skip


def _question() -> gr.Textbox:
    return gr.Textbox(
        label="Question", show_label=False, placeholder="How many planes are there?", submit_btn=True,
        elem_id="question", max_lines=4, autofocus=True,
    )  # fmt: skip


def _connect_image(controls: Controls, talk: gr.State, events: Events) -> None:
    image, shown = controls.image, [controls.question, *controls.chats]
    image.clear(events.drop_image, talk, shown, **PRIVATE)
    taken = [image.upload(events.take_image, [image, talk], shown, **PRIVATE)]
    if controls.examples is not None:
        taken.append(controls.examples.click(events.take_example, [controls.examples, talk], shown, **PRIVATE))
    for step in taken:
        step.success(events.show_image, talk, image, show_progress="minimal", **READING)


def _connect_question(controls: Controls, talk: gr.State, events: Events) -> None:
    question, chats, settings = controls.question, controls.chats, controls.settings
    shown = [question, *chats]
    asked = question.submit(events.ask_in_page, [question, talk, *settings], shown, **ASKING)
    # "multiple": a stopped answer ends with its next token, and must not keep the next question out
    answered = asked.success(
        events.answer_in_page, talk, shown, show_progress="minimal", show_progress_on=chats, trigger_mode="multiple",
        api_visibility="private", **ANSWERING,
    )  # fmt: skip
    answered.success(events.settle, talk, shown, trigger_mode="multiple", **PRIVATE)
    answered.failure(events.settle_failure, talk, shown, trigger_mode="multiple", **PRIVATE)
    # what was said stays in sight: Gradio writes "Error" over it
    asked.failure(events.settle, talk, shown, **PRIVATE)
    question.stop(events.stop, talk, shown, **PRIVATE)
    # what is no longer seen must not be remembered either: a chat's own bin empties all
    gr.on([controls.begin.click, *(chat.clear for chat in chats)], events.begin, talk, shown, **PRIVATE)
    settings.compare.change(show_base, settings.compare, chats[0], **PRIVATE)


def _add_api(controls: Controls, events: Events, names: Sequence[str]) -> None:
    """The endpoint /ask for programs: it keeps nothing between two calls."""
    with gr.Column(visible=False):
        image, question = _image(), text_alone(gr.Textbox(label="question"))
        earlier, model = gr.JSON(label="earlier"), told_alone(gr.Radio(list(names), value=names[-1], label="model"))
        answer, button = gr.Textbox(label="answer"), gr.Button()
    button.click(
        events.ask, [image, question, earlier, model, *controls.settings[:2]], answer,
        api_name="ask", api_description=Events.ask.__doc__, **ANSWERING,
    )  # fmt: skip
