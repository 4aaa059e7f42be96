"""The state of one visitor's page, kept on the server only.

Page events change it at once, in the order in which they arrive. Whatever takes time, an answer or a preview, checks
here whether it is still wanted: Gradio's own cancelling runs only after an event's other steps, and would then cancel
a question that was asked in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.serving.answers import ImageQuestion
from tasks.serving.conversation import Round
from tasks.serving.export import Exchange


@dataclass(eq=False)
class PendingQuestion:
    """A question that waits or is being answered: by the models at which indices, and their answers so far.

    `rounds` are the earlier rounds with each of these models.
    """

    asked: ImageQuestion
    models: Sequence[int]
    rounds: Sequence[list[Round]]
    texts: list[str] = field(init=False)
    is_started: bool = False

    def __post_init__(self) -> None:
        self.texts = [""] * len(self.models)


class PageState:
    """An image, the rounds about it with each model, and the question without a complete answer."""

    def __init__(self, models: int):
        self._models = models
        self.restart(None)

    def restart(self, image: Path | None) -> None:
        """Start over with an image: forget all rounds and the pending question."""
        self.pending: PendingQuestion | None = None
        # new lists: an answer that is still running must not add to them
        self.rounds: list[list[Round]] = [[] for _ in range(self._models)]
        self.exchanges: list[Exchange] = []
        self.image = image

    def ask(self, asked: ImageQuestion, models: Sequence[int]) -> None:
        """Let a question wait for the models at these indices; it replaces a pending question."""
        self.pending = PendingQuestion(asked, models, [self.rounds[index] for index in models])

    def stop(self) -> None:
        """Forget the pending question."""
        self.pending = None

    def start_next(self) -> PendingQuestion | None:
        """Return the waiting question and mark it as started; None if none waits."""
        pending = self.pending
        if pending is None or pending.is_started:
            return None
        pending.is_started = True
        return pending

    def finish(self, pending: PendingQuestion) -> None:
        """Add a question and its answers to the rounds, unless it was stopped."""
        if self.pending is pending:
            self.pending = None
            self.exchanges.append(Exchange(pending.asked, dict(zip(pending.models, pending.texts, strict=True))))
            for rounds, text in zip(pending.rounds, pending.texts, strict=True):
                rounds.append((pending.asked.question, text))
