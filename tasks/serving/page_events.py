"""The functions behind the page's events and its API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from tasks.choices import ChatHistory
from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding
from tasks.serving.answers import Example, ImageQuestion, make_preview, require_question, stream_answers
from tasks.serving.conversation import Round
from tasks.serving.export import FORMATS, NamedModel, export_conversation
from tasks.serving.http_request import VISITOR_HEADER
from tasks.serving.models import BASE, TUNED, ServedModel
from tasks.serving.page_state import PageState
from tasks.serving.uploads import Uploads

ERROR_S = 20
# an empty bubble would look like an answer that never came
EMPTY = "(empty answer)"

Messages = list[dict[str, str]]
# updates of the question box and of each model's chat
Updates = tuple[object, ...]


class Events:
    """The functions behind the page, for one set of models."""

    def __init__(
        self,
        models: Sequence[ServedModel],
        examples: Sequence[Example],
        uploads: Uploads,
        suggestions: Sequence[str] = (),
    ):
        self._models, self._examples, self._uploads = list(models), list(examples), uploads
        self._suggestions = list(suggestions)

    def new_state(self) -> PageState:
        """The state of a new page: no image and no rounds."""
        return PageState(len(self._models))

    def restart(self, state: PageState) -> Updates:
        """Forget the rounds about the image."""
        return self._restart(state, state.image)

    def drop_image(self, state: PageState) -> Updates:
        """Forget the image and the rounds about it."""
        return self._restart(state, None)

    def use_image(self, image: str | None, state: PageState) -> Updates:
        """Start over with an uploaded image."""
        return self._restart(state, Path(image) if image else None)

    def use_example(self, number: int, state: PageState) -> Updates:
        """Start over with an example, its question in the box."""
        if type(number) is not int or not 0 <= number < len(self._examples):
            raise _page_error(DataError("There is no such example: choose another."))
        example = self._examples[number]
        state.restart(example.image)
        return self._page(state, example.question)

    def show_image(self, state: PageState, request: gr.Request) -> str | dict[str, object]:
        """The path of a preview of the current image, for the visitor who sent this request."""
        image = state.image
        if image is None:
            return gr.skip()
        with _errors_on_page():
            preview = make_preview(image)
        if state.image != image:
            return gr.skip()
        return self._uploads.add(request.headers[VISITOR_HEADER], "preview.png", partial(preview.save, format="PNG"))

    def ask_in_page(
        self, question: str, state: PageState, temperature: float, max_new_tokens: int, remember: bool, compare: bool
    ) -> Updates:
        """Queue a question; while another one is pending, it stays in its box."""
        if state.pending:
            return self._page(state)
        with _errors_on_page():
            settings = temperature, max_new_tokens, remember
            asked = self._image_question(state.image, require_question(question), settings)
        # without comparison the last model answers alone: the tuned one if there are two
        state.ask(asked, range(len(self._models))[0 if compare else -1 :])
        return self._page(state, "")

    def ask_suggestion(self, number: int, state: PageState, *settings: Any) -> Updates:
        """Queue a suggested question; `settings` are those of ask_in_page."""
        if type(number) is not int or not 0 <= number < len(self._suggestions):
            raise _page_error(DataError("There is no such suggestion: choose another."))
        return self.ask_in_page(self._suggestions[number], state, *settings)

    def save_conversation(self, state: PageState, request: gr.Request) -> list[dict[str, object]]:
        """The conversation's files for the visitor who sent this request; no button for one without an answer."""
        if not state.exchanges:
            return [gr.update(visible=False)] * len(FORMATS)
        models = [NamedModel(model.name, model.title or model.name) for model in self._models]
        texts = {kind: export_conversation(kind, models, state.exchanges).encode() for kind in FORMATS}
        return [
            gr.update(visible=True, value=self._add_file(request, f"conversation.{kind}", text))
            for kind, text in texts.items()
        ]

    def _add_file(self, request: gr.Request, name: str, content: bytes) -> str:
        return self._uploads.add(request.headers[VISITOR_HEADER], name, lambda file: file.write(content))

    def answer_in_page(self, state: PageState) -> Iterator[Updates]:
        """Yield the page's updates as the answers to the waiting question grow."""
        pending = state.start_next()
        if pending is None:
            return
        try:
            models = [self._models[index] for index in pending.models]
            for texts in stream_answers(models, pending.asked, pending.rounds):
                if state.pending is not pending:
                    return
                pending.texts = texts
                yield gr.skip(), *self._chats(state)
            state.finish(pending)
        except DataError as error:
            if state.pending is pending:
                state.stop()
                # a refused question returns to its box, to be corrected
                yield self._page(state, pending.asked.question)
                raise _page_error(error) from None
        finally:
            if state.pending is pending:
                state.stop()

    def stop(self, state: PageState) -> Updates:
        """Stop the answer; it does not become part of the conversation."""
        state.stop()
        return self._page(state)

    def settle(self, state: PageState) -> Updates:
        """The page after an answer has ended or was stopped; late pieces of a stopped one disappear."""
        return self._page(state)

    def settle_failure(self, state: PageState) -> Updates:
        """The page after an answer that failed; a question that was never started returns to its box."""
        waiting = state.pending if state.pending and not state.pending.is_started else None
        if waiting is None:
            return self._page(state)
        state.stop()
        return self._page(state, waiting.asked.question)

    def ask(
        self,
        image: str | None,
        question: str,
        earlier: object,
        model: str | None,
        temperature: float,
        max_new_tokens: int,
    ) -> Iterator[str]:
        """Answer one question about an image, streamed; `earlier` lists [question, answer] of each round before it."""
        with _errors_on_page():
            path = Path(image) if image else None
            asked = self._image_question(path, question, (temperature, max_new_tokens, True))
            rounds = _parse_rounds(earlier)
            for (text,) in stream_answers([self._model(model)], asked, [rounds]):
                yield text

    def _model(self, name: str | None) -> ServedModel:
        found = {model.name: model for model in self._models}
        if name not in found:
            raise DataError(f"model is {name!r}: give one of {', '.join(found)}.")
        return found[name]

    def _restart(self, state: PageState, image: Path | None) -> Updates:
        state.restart(image)
        return self._page(state)

    def _image_question(self, image: Path | None, question: str, settings: tuple[float, int, bool]) -> ImageQuestion:
        if image is None:
            raise DataError("There is no image yet: upload one first.")
        temperature, max_new_tokens, remember = settings
        history: ChatHistory = "predicted" if remember else "independent"
        return ImageQuestion(image, question, Decoding(int(max_new_tokens), temperature), history)

    def _page(self, state: PageState, question: str | None = None) -> Updates:
        """The question box, with a new text if one is given, and each model's chat.

        While a question is pending, the box's button stops it; otherwise it sends.
        """
        waits = state.pending is not None
        box = gr.update(submit_btn=not waits, stop_btn=waits)
        return box if question is None else {**box, "value": question}, *self._chats(state)

    def _chats(self, state: PageState) -> list[Messages]:
        chats = [_messages(rounds) for rounds in state.rounds]
        if pending := state.pending:
            for index, text in zip(pending.models, pending.texts, strict=True):
                # without an answer yet, Gradio's chat shows by itself that one is coming
                chats[index] += _messages([(pending.asked.question, text)])[: 2 if text else 1]
        return chats


def show_base(compare: bool) -> dict[str, object]:
    """Show the base model's chat only in a comparison."""
    return gr.update(visible=compare)


def chat_titles(models: Sequence[ServedModel]) -> list[str]:
    """The titles of the models' chats: what a model is in a comparison, and its name."""
    roles = {BASE: "Base model", TUNED: "Tuned model", "model": "Answers"}
    return [f"{roles[model.name]}: {model.title}" if model.title else roles[model.name] for model in models]


def _messages(rounds: Sequence[Round]) -> Messages:
    return [
        message
        for question, answer in rounds
        for message in ({"role": "user", "content": question}, {"role": "assistant", "content": answer or EMPTY})
    ]


def _parse_rounds(earlier: object) -> list[Round]:
    rounds = earlier or []
    if isinstance(rounds, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in rounds
    ):
        return [(question, answer) for question, answer in rounds]
    raise DataError("earlier is not a list of [question, answer] pairs: correct it, or leave it out.")


@contextmanager
def _errors_on_page() -> Iterator[None]:
    """Show a DataError on the page."""
    try:
        yield
    except DataError as error:
        raise _page_error(error) from None


def _page_error(error: DataError) -> gr.Error:
    # the page renders the sentence as HTML, and a file's name may hold anything
    return gr.Error(escape(str(error), quote=False), duration=ERROR_S, print_exception=False)
