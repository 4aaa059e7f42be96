"""What one visitor's page is about, kept on the server alone.

Steps of the page change it at once, in the order in which they arrive. What takes time, an answer or a picture, looks
here whether it is still wanted: Gradio's own cancelling runs only after an event's other steps, and so hits a question
that was asked in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.serving.answers import Asked
from tasks.serving.conversation import Round


@dataclass(eq=False)
class Pending:
    """A question that waits or is being answered: by which speakers, after which rounds, and what they said so far."""

    asked: Asked
    places: Sequence[int]
    rounds: Sequence[list[Round]]
    texts: list[str] = field(init=False)
    is_begun: bool = False

    def __post_init__(self) -> None:
        self.texts = [""] * len(self.places)


class Talk:
    """An image, the rounds with each speaker, and the question that has no whole answer yet."""

    def __init__(self, speakers: int):
        self._speakers = speakers
        self.begin(None)

    def begin(self, image: Path | None) -> None:
        """Forget all that was said, and the question that is being answered."""
        self.pending: Pending | None = None
        # new lists: what an answer of before would still add goes nowhere
        self.rounds: list[list[Round]] = [[] for _ in range(self._speakers)]
        self.image = image

    def ask(self, asked: Asked, places: Sequence[int]) -> None:
        """Let a question wait for the speakers at some places; one that waits or is being answered is forgotten."""
        self.pending = Pending(asked, places, [self.rounds[place] for place in places])

    def stop(self) -> None:
        """Forget the question that waits or is being answered."""
        self.pending = None

    def next_question(self) -> Pending | None:
        """The question that waits, from now on being answered; None where none waits."""
        pending = self.pending
        if pending is None or pending.is_begun:
            return None
        pending.is_begun = True
        return pending

    def finish(self, pending: Pending) -> None:
        """Make a question and its answers a part of the conversation, unless it was stopped."""
        if self.pending is pending:
            self.pending = None
            for rounds, text in zip(pending.rounds, pending.texts, strict=True):
                rounds.append((pending.asked.question, text))
