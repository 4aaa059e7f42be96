"""What happens when something is done on the page or asked through its API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from tasks.errors import DataError
from tasks.inference.engines.decoding import Decoding
from tasks.serving.answers import Asked, Example, answers, preview_of, require_question
from tasks.serving.conversation import History, Round
from tasks.serving.http_request import VISITOR_HEADER
from tasks.serving.models import BASE, Speaker
from tasks.serving.page_state import Talk
from tasks.serving.uploads import Uploads

MESSAGE_S = 20


Messages = list[dict[str, str]]


class Events:
    """The functions behind the page, for one set of models."""

    def __init__(self, speakers: Sequence[Speaker], examples: Sequence[Example], uploads: Uploads):
        self._speakers, self._examples, self._uploads = list(speakers), list(examples), uploads

    def new_talk(self) -> Talk:
        """A talk about no image, in which nothing was said."""
        return Talk(len(self._speakers))

    def begin(self, talk: Talk) -> tuple[Any, ...]:
        """Forget what was said about the image: the question box and each speaker's chat."""
        return self._begin(talk, talk.image)

    def drop_image(self, talk: Talk) -> tuple[Any, ...]:
        """Forget the image and what was said about it."""
        return self._begin(talk, None)

    def take_image(self, image: str | None, talk: Talk) -> tuple[Any, ...]:
        """Talk about an uploaded image from now on."""
        return self._begin(talk, Path(image) if image else None)

    def take_example(self, number: int, talk: Talk) -> tuple[Any, ...]:
        """Talk about an example from now on, with its question in the box."""
        if type(number) is not int or not 0 <= number < len(self._examples):
            raise _told(DataError("There is no such example: take another."))
        example = self._examples[number]
        talk.begin(example.image)
        return self._page(talk, example.question)

    def show_image(self, talk: Talk, request: gr.Request) -> Any:
        """The path of what a browser can show of the image that is talked about, for who sent this request."""
        image = talk.image
        if image is None:
            return gr.skip()
        with _said_in_the_page():
            preview = preview_of(image)
        if talk.image != image:
            return gr.skip()
        return self._uploads.keep(request.headers[VISITOR_HEADER], "preview.png", partial(preview.save, format="PNG"))

    def ask_in_page(
        self, question: str, talk: Talk, temperature: float, max_new_tokens: int, remember: bool, compare: bool
    ) -> tuple[Any, ...]:
        """Let a question wait for its answer; while another one does, it stays in its box."""
        if talk.pending:
            return self._page(talk)
        with _said_in_the_page():
            asked = self._asked(talk.image, require_question(question), (temperature, max_new_tokens, remember))
        # without comparison the last one answers alone: the tuned model where there are two
        talk.ask(asked, range(len(self._speakers))[0 if compare else -1 :])
        return self._page(talk, "")

    def answer_in_page(self, talk: Talk) -> Iterator[tuple[Any, ...]]:
        """Yield the question box and each speaker's chat as the answers to the waiting question grow."""
        pending = talk.next_question()
        if pending is None:
            return
        try:
            for texts in answers([self._speakers[place] for place in pending.places], pending.asked, pending.rounds):
                if talk.pending is not pending:
                    return
                pending.texts = texts
                yield gr.skip(), *self._chats(talk)
            talk.finish(pending)
        except DataError as error:
            if talk.pending is pending:
                talk.stop()
                # what could not be asked goes back into its box, to be mended
                yield self._page(talk, pending.asked.question)
                raise _told(error) from None
        finally:
            if talk.pending is pending:
                talk.stop()

    def stop(self, talk: Talk) -> tuple[Any, ...]:
        """Stop the answer; what was said of it is no part of the conversation."""
        talk.stop()
        return self._page(talk)

    def settle(self, talk: Talk) -> tuple[Any, ...]:
        """The page after an answer, whole or not: what came late from a stopped one is shown no longer."""
        return self._page(talk)

    def settle_failure(self, talk: Talk) -> tuple[Any, ...]:
        """The page after an answer that failed; a question that never came to its turn goes back into its box."""
        waiting = talk.pending if talk.pending and not talk.pending.is_begun else None
        if waiting is None:
            return self._page(talk)
        talk.stop()
        return self._page(talk, waiting.asked.question)

    def ask(
        self, image: str | None, question: str, earlier: Any, model: str | None, temperature: float, max_new_tokens: int
    ) -> Iterator[str]:
        """Answer one question about an image, streamed; `earlier` lists [question, answer] of each round before it."""
        with _said_in_the_page():
            asked = self._asked(Path(image) if image else None, question, (temperature, max_new_tokens, True))
            rounds = _rounds_in(earlier)
            for (text,) in answers([self._speaker(model)], asked, [rounds]):
                yield text

    def _speaker(self, name: str | None) -> Speaker:
        found = {speaker.name: speaker for speaker in self._speakers}
        if name not in found:
            raise DataError(f"model is {name!r}: give one of {', '.join(found)}.")
        return found[name]

    def _begin(self, talk: Talk, image: Path | None) -> tuple[Any, ...]:
        talk.begin(image)
        return self._page(talk)

    def _asked(self, image: Path | None, question: str, how: tuple[float, int, bool]) -> Asked:
        if image is None:
            raise DataError("There is no image yet: upload one first.")
        temperature, max_new_tokens, remember = how
        history: History = "predicted" if remember else "independent"
        return Asked(image, question, Decoding(int(max_new_tokens), temperature), history)

    def _page(self, talk: Talk, question: str | None = None) -> tuple[Any, ...]:
        """The question box, with another text where one is given, and each speaker's chat.

        The box's button stops the answer while there is one to wait for, and else sends.
        """
        waits = talk.pending is not None
        box = gr.update(submit_btn=not waits, stop_btn=waits)
        return box if question is None else {**box, "value": question}, *self._chats(talk)

    def _chats(self, talk: Talk) -> list[Messages]:
        chats = [_messages(rounds) for rounds in talk.rounds]
        if pending := talk.pending:
            for place, text in zip(pending.places, pending.texts, strict=True):
                # a chat shows by itself that an answer is still to come
                chats[place] += _messages([(pending.asked.question, text)])[: 2 if text else 1]
        return chats


def show_base(compare: bool) -> Any:
    """The base model's chat is seen only in comparison."""
    return gr.update(visible=compare)


def names_of(speakers: Sequence[Speaker]) -> list[str]:
    """What the chats are called."""
    titles = {BASE: "Base model", "tuned": "Tuned model", "model": "Answers"}
    return [titles[speaker.name] for speaker in speakers]


def _messages(rounds: Sequence[Round]) -> Messages:
    return [
        message
        for question, answer in rounds
        for message in ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    ]


def _rounds_in(earlier: Any) -> list[Round]:
    rounds = earlier or []
    whole = isinstance(rounds, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in rounds
    )
    if not whole:
        raise DataError("earlier is no list of [question, answer] pairs: mend it, or leave it out.")
    return [(question, answer) for question, answer in rounds]


@contextmanager
def _said_in_the_page() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise _told(error) from None


def _told(error: DataError) -> gr.Error:
    # the page takes the sentence for HTML, and a file's name may hold anything
    return gr.Error(escape(str(error), quote=False), duration=MESSAGE_S, print_exception=False)
