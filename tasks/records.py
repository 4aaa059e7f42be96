"""Values passed between stages, processes and files: references to folders, questions, answers, manifests."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator

from tasks.errors import shortened
from tasks.paths import is_below

SHA256 = re.compile(r"[0-9a-f]{64}")
# of a digest that is shown
DIGITS = 8


class Value(BaseModel):
    """A frozen, JSON-serializable value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        # people read it in notebooks: plain paths, and digests by their first digits
        for name, value in super().__repr_args__():
            if isinstance(value, str) and SHA256.fullmatch(value):
                yield name, value[:DIGITS]
            else:
                yield name, str(value) if isinstance(value, Path) else value


class FolderRef(Value):
    """An output folder of a stage: its path and the SHA-256 of its content, from its manifest."""

    path: Path
    sha256: str

    @property
    def content(self) -> str:
        """Identifies the content, independent of the path."""
        return self.sha256

    def located(self, path: Path, made_from: Iterable[Any]) -> Self:
        """The same content at `path`; other paths are taken from the step's inputs, `made_from`."""
        return self.model_copy(update={"path": path})


class ImagesRef(FolderRef):
    """A folder of records, and the folder of their images."""

    images: Path

    def located(self, path: Path, made_from: Iterable[Any]) -> Self:
        # a cached reference holds the images folder of the workspace in which it was created
        images = [value.images for value in made_from if isinstance(value, ImagesRef)]
        return self.model_copy(update={"path": path, "images": images[0] if images else self.images})


class DatasetRef(ImagesRef):
    """The prepared sets of a data folder; `records` counts the records per set."""

    images_sha256: str
    records: dict[str, int]
    # source name for images whose paths have no folder
    unnamed_source: str = "unnamed"

    @property
    def content(self) -> str:
        return f"{self.sha256}-{self.images_sha256}"


class ModelRef(FolderRef):
    """A model directory that can be loaded."""


class CheckpointRef(FolderRef):
    """A checkpoint directory that can be loaded, merged or resumed; `step` is its optimizer step."""

    run: str
    step: int


class PredictionsRef(FolderRef):
    """The answers of one model to one test set; `answers` is their number."""

    model: str
    answers: int


class ReportRef(FolderRef):
    """The scores of one model's answers."""

    model: str


class TrainingFacts(Value):
    """How a model was trained; `losses` are (step, loss) at equal distances, `final_loss` is the last one logged.

    `validation_losses` are those of the validation set. `settings` are those that decide the weights, by section.
    `date` is the day of the checkpoint in UTC, YYYY-MM-DD; None if the run does not record it.
    """

    base: str | None
    lora_rank: int | None
    learning_rate: float | None
    epochs: float
    steps: int
    final_loss: float | None
    losses: tuple[tuple[int, float], ...] = ()
    validation_losses: tuple[tuple[int, float], ...] = ()
    settings: dict[str, dict[str, Any]] = {}
    date: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The facts without the day, which a copy of the same training in another workspace does not record."""
        return self.model_dump(mode="json", exclude={"date"})


class ReportContext(Value):
    """What a report shows next to its scores: the run, its base model's name, the training, and other reports.

    The other reports are those of the run's checkpoints, and those on transformed test images.
    """

    run: str | None = None
    base: str | None = None
    training: TrainingFacts | None = None
    checkpoints: tuple[ReportRef, ...] = ()
    robustness: tuple[ReportRef, ...] = ()


class ExperimentResult(Value):
    """The result of an experiment: references to the outputs of all stages."""

    run: str
    reports: Path
    dataset: DatasetRef
    checkpoint: CheckpointRef
    merged: ModelRef
    predictions: dict[str, PredictionsRef]
    scores: dict[str, ReportRef]

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        return [("run", self.run), ("reports", str(self.reports))]


class Question(Value):
    """One prompt for a model: the image's path, and the turns up to and including the prompt."""

    key: str
    record: int
    turn: int
    image: str | None
    turns: tuple[tuple[Literal["human", "gpt"], str], ...]


class Served(Value):
    """What a server says about one answer of its model.

    `prompt_tokens` is None if it reports no usage; then the answer's `tokens` are 0. `model` is the name that it gives
    the model, if that is not the requested one, and `finish` why the answer ended, if not by itself.
    """

    prompt_tokens: int | None = None
    model: str | None = None
    finish: str | None = None


class Answer(Value):
    """One line of answers.jsonl: a model's answer; `tokens` is its length, `seconds` the time it took.

    `probability` is that of exactly this answer: the product over its tokens and its end. `mean_log_probability` is the
    mean of their natural logarithms. Both are None if tokens are sampled or the engine does not give them. `served` is
    there if the model is served elsewhere.
    """

    key: str
    text: str
    tokens: int
    seconds: float | None = None
    probability: float | None = None
    mean_log_probability: float | None = None
    served: Served | None = None


class Manifest(Value):
    """MANIFEST.json of a folder, written last: SHA-256 and size in bytes of its files, by relative path."""

    version: int = 1
    fingerprint: str
    files: dict[str, dict[str, Any]]
    details: dict[str, Any] = {}

    @field_validator("files")
    @classmethod
    def _stay_inside_the_folder(cls, files: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, entry in files.items():
            if not is_below(name):
                raise ValueError(f"it names {shortened(name)}, outside its folder")
            size, sha256 = entry.get("size"), entry.get("sha256")
            if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
                raise ValueError(f"size or SHA-256 of {shortened(name)} is invalid")
        return files
