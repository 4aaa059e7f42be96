"""What the training process is asked to do, as its parent writes it down."""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import Field

from tasks.files import digest_of
from tasks.records import DatasetRef, ModelRef, Value
from tasks.settings import ModelConfig, TrainingConfig


class TrainingOrder(Value):
    """One training run: the base model, the sets, the settings and the folder for its checkpoints."""

    run: str
    base: ModelRef
    dataset: DatasetRef
    model: ModelConfig
    training: TrainingConfig
    out: Path
    staging: Path | None = None
    resume: bool = False
    stop_token: str = Field(default_factory=lambda: f"{os.getpid()}-{uuid4().hex[:8]}")

    @property
    def stop_file(self) -> Path:
        """While it is there, all processes of this order are to save and end; another order has a file of its own."""
        return self.out / f".stop-{self.stop_token}"

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the trained weights, and of no place where any of it stands."""
        return self._digest(self.model.content)

    def is_of(self, fingerprint: str | None) -> bool:
        """Whether a training of this fingerprint is this one; earlier versions had the base's directory in it."""
        return fingerprint in (self.fingerprint, self._digest(self.model.model_dump(mode="json")))

    def _digest(self, model: dict[str, Any]) -> str:
        return digest_of(
            {
                "base": self.base.sha256,
                "dataset": self.dataset.sha256,
                "images": self.dataset.images_sha256,
                "model": model,
                "training": self.training.content,
            }
        )
