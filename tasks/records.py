"""Values that cross a file or process border: references to what a stage made, answers and scores."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator

from tasks.errors import shortened
from tasks.paths import is_below

SHA256 = re.compile(r"[0-9a-f]{64}")


class Value(BaseModel):
    """A frozen value that travels as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FolderRef(Value):
    """A folder that a stage made: where it is and the digest of all its files, as its manifest says."""

    path: Path
    sha256: str

    @property
    def content(self) -> str:
        """What it stands for, wherever it lies."""
        return self.sha256

    def located(self, path: Path, made_from: Iterable[Any]) -> Self:
        """The same content at `path`; every further location in it is taken from what it was `made_from`."""
        return self.model_copy(update={"path": path})


class ImagesRef(FolderRef):
    """A folder of records, and the folder of the images that they are about."""

    images: Path

    def located(self, path: Path, made_from: Iterable[Any]) -> Self:
        # a reference from a cache holds the images folder of the workspace that it was made in
        images = [value.images for value in made_from if isinstance(value, ImagesRef)]
        return self.model_copy(update={"path": path, "images": images[0] if images else self.images})


class DatasetRef(ImagesRef):
    """The prepared sets of a data folder, and the folder of their images."""

    images_sha256: str
    records: dict[str, int]
    # of images whose paths have no folder
    unnamed_source: str = "unnamed"

    @property
    def content(self) -> str:
        return f"{self.sha256}-{self.images_sha256}"


class ModelRef(FolderRef):
    """A model directory that can be loaded."""


class CheckpointRef(FolderRef):
    """An adapter directory that can be loaded, merged or resumed."""

    run: str
    step: int


class PredictionsRef(FolderRef):
    """The answers of one model to one test set."""

    model: str
    answers: int


class ReportRef(FolderRef):
    """The scores of one model's answers."""

    model: str


class ExperimentResult(Value):
    """What an experiment leaves: references to all that it made."""

    run: str
    reports: Path
    dataset: DatasetRef
    checkpoint: CheckpointRef
    merged: ModelRef
    predictions: dict[str, PredictionsRef]
    scores: dict[str, ReportRef]


class Question(Value):
    """One turn that a model is asked: the images' name, and the turns up to and including the prompt."""

    key: str
    record: int
    turn: int
    image: str | None
    turns: tuple[tuple[Literal["human", "gpt"], str], ...]


class Answer(Value):
    """One line of answers.jsonl: what a model said to a question."""

    key: str
    text: str
    tokens: int
    seconds: float | None = None


class Manifest(Value):
    """MANIFEST.json of a folder: its files by relative path, written last."""

    version: int = 1
    fingerprint: str
    files: dict[str, dict[str, Any]]
    details: dict[str, Any] = {}

    @field_validator("files")
    @classmethod
    def _are_inside(cls, files: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, entry in files.items():
            if not is_below(name):
                raise ValueError(f"it names {shortened(name)}, outside its folder")
            size, sha256 = entry.get("size"), entry.get("sha256")
            if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
                raise ValueError(f"size or SHA-256 of {shortened(name)} is none")
        return files
