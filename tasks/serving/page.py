"""The web page: an image, questions about it, and the answers of one model, or of two side by side."""

from collections.abc import Sequence
from typing import Literal, TypedDict

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.requests import Request
from starlette.routing import Mount

from tasks.serving.answers import UPLOAD_BYTES, Example
from tasks.serving.login import Login
from tasks.serving.models import ServedModel
from tasks.serving.page_controls import Controls, add_controls, add_image
from tasks.serving.page_events import Events, show_base
from tasks.serving.page_fields import endpoints_of, text_only, without_traceback
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
#page { display: grid; gap: 16px;
  grid-template: "ask answers" auto "more answers" 1fr / minmax(0, 1fr) minmax(0, 2fr); }
#ask { grid-area: ask; }
#answers { grid-area: answers; }
#more { grid-area: more; }
/* on a phone the question is under the image, and the answers are under the question */
@media (max-width: 760px) {
  #page { grid-template: "ask" auto "answers" auto "more" auto / minmax(0, 1fr); }
  #image { height: 240px !important; }
  .chat { height: 300px !important; }
  /* in one row, which scrolls, so that the answer is on the first screen */
  #suggestions > .gallery { flex-wrap: nowrap; overflow-x: auto; }
  #suggestions .gallery-item { flex: none; }
}
#title h1 { margin: 0.4rem 0 0.2rem; font-size: 1.5rem; }
#title p { margin: 0; color: var(--body-text-color-subdued); }
#question textarea { font-size: 1rem; }
"""


def build_page(
    models: Sequence[ServedModel],
    about: str,
    uploads: Uploads,
    examples: Sequence[Example] = (),
    suggestions: Sequence[str] = (),
) -> gr.Blocks:
    """Build the page for one model or two; `about` is a line that says which model answers."""
    events = Events(models, examples, uploads, suggestions)
    with gr.Blocks(title="rsvlm", analytics_enabled=False, delete_cache=CLEANING) as page:
        gr.Markdown(f"# Ask about a satellite image\n{about}", elem_id="title")
        state = gr.State(events.new_state())
        controls = add_controls(models, examples, suggestions)
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


def _connect_image(controls: Controls, state: gr.State, events: Events) -> None:
    image, shown = controls.image, [controls.question, *controls.chats]
    dropped = image.clear(events.drop_image, state, shown, **PRIVATE)
    chosen = [image.upload(events.use_image, [image, state], shown, **PRIVATE)]
    if controls.examples is not None:
        chosen.append(controls.examples.click(events.use_example, [controls.examples, state], shown, **PRIVATE))
    for step in (dropped, *chosen):
        step.success(events.save_conversation, state, controls.buttons.save, **PRIVATE)
    for step in chosen:
        step.success(events.show_image, state, image, show_progress="minimal", **READING)


def _connect_question(controls: Controls, state: gr.State, events: Events) -> None:
    question, chats, settings = controls.question, controls.chats, controls.settings
    shown = [question, *chats]
    asking = [question.submit(events.ask_in_page, [question, state, *settings], shown, **ASKING)]
    if controls.suggestions is not None:
        inputs = [controls.suggestions, state, *settings]
        asking.append(controls.suggestions.click(events.ask_suggestion, inputs, shown, **ASKING))
    for asked in asking:
        # "multiple": a stopped answer runs on until its next token, and must not block the next question
        answered = asked.success(
            events.answer_in_page, state, shown, show_progress="minimal", show_progress_on=chats,
            trigger_mode="multiple", api_visibility="private", **ANSWERING,
        )  # fmt: skip
        settled = answered.success(events.settle, state, shown, trigger_mode="multiple", **PRIVATE)
        settled.success(events.save_conversation, state, controls.buttons.save, trigger_mode="multiple", **PRIVATE)
        answered.failure(events.settle_failure, state, shown, trigger_mode="multiple", **PRIVATE)
        # restore the chats: Gradio writes "Error" over them
        asked.failure(events.settle, state, shown, **PRIVATE)
    question.stop(events.stop, state, shown, **PRIVATE)
    # clearing one chat clears all: no round may stay in the history unseen
    begun = gr.on(
        [controls.buttons.restart.click, *(chat.clear for chat in chats)], events.restart, state, shown, **PRIVATE
    )
    begun.success(events.save_conversation, state, controls.buttons.save, **PRIVATE)
    settings.compare.change(show_base, settings.compare, chats[0], **PRIVATE)


def _add_api(controls: Controls, events: Events, names: Sequence[str]) -> None:
    """Add the endpoint /ask for programs, which keeps nothing between calls."""
    with gr.Column(visible=False):
        image, question = add_image(), text_only(gr.Textbox(label="question"))
        earlier, model = (
            gr.JSON(label="earlier"),
            without_traceback(gr.Radio(list(names), value=names[-1], label="model")),
        )
        answer, button = gr.Textbox(label="answer"), gr.Button()
    button.click(
        events.ask, [image, question, earlier, model, *controls.settings[:2]], answer,
        api_name="ask", api_description=Events.ask.__doc__, **ANSWERING,
    )  # fmt: skip
