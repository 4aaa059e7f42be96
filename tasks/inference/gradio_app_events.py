"""What happens when something is done on the page or asked through its API."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from tasks.errors import DataError
from tasks.inference.choosing import Decoding
from tasks.inference.conversation import History, Round
from tasks.inference.conversation_models import BASE, Speaker
from tasks.inference.serving import Asked, Example, answers, preview_of, require_question

MESSAGE_S = 20


class Talk(NamedTuple):
    """What a visitor's page is about: the image as it was sent, and the rounds with each speaker."""

    image: str | None
    rounds: tuple[tuple[Round, ...], ...]


Messages = list[dict[str, str]]


class Events:
    """The functions behind the page, for one set of models."""

    def __init__(self, speakers: Sequence[Speaker], examples: Sequence[Example]):
        self._speakers, self._examples = list(speakers), list(examples)

    def empty_talk(self, image: str | None = None) -> Talk:
        """A talk in which nothing was said."""
        return Talk(image, ((),) * len(self._speakers))

    def begin(self, talk: Talk) -> tuple[Any, ...]:
        """Forget what was said about the image: the new talk and the empty chats."""
        return self.empty_talk(talk.image), *([] for _ in self._speakers)

    def take_image(self, image: str | None) -> tuple[Any, ...]:
        """An uploaded image: what is shown of it, a new talk about it, and the empty chats."""
        if image is None:
            return None, *self.begin(self.empty_talk())
        with _said_in_the_page():
            return preview_of(Path(image)), *self.begin(self.empty_talk(image))

    def take_example(self, number: int) -> tuple[Any, ...]:
        """An example: as an uploaded image, and its question."""
        example = self._examples[number]
        return *self.take_image(str(example.image)), example.question

    def ask_in_page(
        self, question: str, talk: Talk, temperature: float, max_new_tokens: int, remember: bool, compare: bool
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the question box, the talk and each speaker's chat as the answers grow."""
        with _said_in_the_page():
            asked = self._asked(talk.image, require_question(question), (temperature, max_new_tokens, remember))
        # without comparison the last one answers alone: the tuned model where there are two
        places = list(range(len(self._speakers)))[0 if compare else -1 :]
        waiting = [""] * len(places)
        yield (
            gr.update(value="", submit_btn=False, stop_btn=True),
            talk,
            *self._chats(talk, places, asked.question, waiting),
        )
        try:
            texts = waiting
            for texts in answers(
                [self._speakers[place] for place in places], asked, [talk.rounds[place] for place in places]
            ):
                yield gr.skip(), talk, *self._chats(talk, places, asked.question, texts)
        except DataError as error:
            # what could not be asked goes back into its box, to be mended
            yield question, talk, *self._chats(talk, [], "", [])
            raise _told(error) from None
        rounds = list(talk.rounds)
        for place, text in zip(places, texts, strict=True):
            rounds[place] = (*rounds[place], (asked.question, text))
        talk = Talk(talk.image, tuple(rounds))
        yield gr.skip(), talk, *self._chats(talk, [], "", [])

    def ask(
        self, image: str | None, question: str, earlier: Any, model: str, temperature: float, max_new_tokens: int
    ) -> Iterator[str]:
        """Answer one question about an image, streamed; `earlier` lists [question, answer] of each round before it."""
        with _said_in_the_page():
            asked = self._asked(image, question, (temperature, max_new_tokens, True))
            rounds = _rounds_in(earlier)
            chosen = next(speaker for speaker in self._speakers if speaker.name == model)
            for (text,) in answers([chosen], asked, [rounds]):
                yield text

    def _asked(self, image: str | None, question: str, how: tuple[float, int, bool]) -> Asked:
        if image is None:
            raise DataError("There is no image yet: upload one first.")
        temperature, max_new_tokens, remember = how
        history: History = "predicted" if remember else "independent"
        return Asked(Path(image), question, Decoding(int(max_new_tokens), temperature), history)

    def _chats(self, talk: Talk, places: Sequence[int], question: str, texts: Sequence[str]) -> list[Messages]:
        chats = [_messages(rounds) for rounds in talk.rounds]
        for place, text in zip(places, texts, strict=True):
            chats[place] += _messages([(question, text)])
        return chats


def waiting_box() -> Any:
    """The question box while nothing is answered: its button sends, and does not stop."""
    return gr.update(submit_btn=True, stop_btn=False)


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
    return gr.Error(escape(str(error), quote=False), duration=MESSAGE_S, title="Not answered", print_exception=False)
