"""What the training process is asked to do, as its parent writes it down."""

from pathlib import Path

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
        """Digest of all that decides the trained weights."""
        return digest_of(
            {
                "base": self.base.sha256,
                "dataset": self.dataset.sha256,
                "images": self.dataset.images_sha256,
                "model": self.model.model_dump(mode="json"),
                "training": self.training.content,
            }
        )
