"""The head of the report: run, model, date, data and training, as far as they are known."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.evaluation.drawn_data import DRAWN, label_of
from tasks.evaluation.scores import AnswerOrigin
from tasks.records import TrainingFacts
from tasks.settings import TOYS

TOY_AND_DRAWN = (
    "Drawn sample, toy model",
    "rsvlm drew these images itself and pre-trained the base model on such drawings. The scores show that every step "
    "works, not how good a model is on real images.",
)
DRAWN_ONLY = ("Drawn sample", "rsvlm drew these images itself. The scores say nothing about real images.")
TOY_ONLY = (
    "Toy model",
    "rsvlm pre-trained the base model itself, on drawings. The scores show that every step works, not how good a real "
    "model is.",
)


@dataclass(frozen=True)
class PageFacts:
    """What is known about a report's answers beyond their files; `images` are those of the training set.

    `origin` is the file of another program that the answers are from. `served` and `served_base` are the names of the
    served models that gave the answers, and those in place of the base model's. `base` is the base model's name.
    """

    run: str | None = None
    training: TrainingFacts | None = None
    images: int | None = None
    drawn: bool = False
    origin: AnswerOrigin | None = None
    served: str | None = None
    served_base: str | None = None
    base: str | None = None

    @property
    def base_name(self) -> str | None:
        """The base model's name: as the run's settings have it, or as its checkpoint does."""
        return self.base or (self.training.base if self.training else None)

    @property
    def warning(self) -> tuple[str, str] | None:
        """Heading and sentence that say what the scores are not; None for real data and a real model."""
        is_toy = self.base in TOYS
        if self.drawn:
            return TOY_AND_DRAWN if is_toy else DRAWN_ONLY
        return TOY_ONLY if is_toy else None

    @property
    def date(self) -> str | None:
        """The day on which the model was trained."""
        return self.training.date if self.training else None

    def label(self, source: str) -> str:
        """A source's name on the page."""
        return label_of(source, self.drawn)

    def title(self, model: str, sources: Sequence[str]) -> str:
        """The title of the tab: run, model, date and data."""
        data = DRAWN if self.drawn else ", ".join(dict.fromkeys(sources))
        return ", ".join(part for part in (self.run, model, self.date, data) if part)

    def training_line(self) -> str | None:
        """The training in one line; None if there was none, or none is known."""
        found = self.training
        if found is None:
            return None
        parts = [
            self.base_name and f"base model {self.base_name}",
            found.lora_rank and f"LoRA rank {found.lora_rank}",
            found.learning_rate and f"learning rate {found.learning_rate:g}",
            f"{_counted(round(found.epochs, 2), 'epoch')} ({_counted(found.steps, 'step')})",
            self.images and _counted(self.images, "image"),
            found.final_loss is not None and f"final loss {found.final_loss:.3f}",
        ]
        return ", ".join(part for part in parts if part)


NOTHING_KNOWN = PageFacts()


def _counted(number: float, noun: str) -> str:
    return f"{number:,g} {noun}{'' if number == 1 else 's'}" if number < 1e5 else f"{number:,.0f} {noun}s"
