"""What the training process is asked to do, as its parent writes it down."""

from pathlib import Path
from typing import Any

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

    @property
    def stop_file(self) -> Path:
        """While it is there, all processes are to save and end."""
        return self.out / ".stop"

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
