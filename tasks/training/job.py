"""A training job: what the parent process writes down for the training process."""

import os
from itertools import product
from pathlib import Path
from uuid import uuid4

from pydantic import Field

from tasks.files import digest_of
from tasks.manifests import read_manifest
from tasks.paths import TRAIN_SET, VALIDATION_SET
from tasks.records import DatasetRef, ModelRef, Value
from tasks.settings import ModelConfig, TrainingConfig


class TrainingJob(Value):
    """One training run: base model, sets, settings, and the folder for its checkpoints."""

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
        """While this file exists, all processes of the job save and end; every job has its own."""
        return self.out / f".stop-{self.stop_token}"

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the trained weights; independent of paths."""
        return self._digest(self.model.content, self._sets_sha256())

    def matches(self, fingerprint: str | None) -> bool:
        """Whether a training with this fingerprint is this one.

        Fingerprints of earlier versions covered the base's directory, and all files in the folder of the sets.
        """
        models = (self.model.content, self.model.model_dump(mode="json"))
        sets = (self._sets_sha256(), self.dataset.sha256)
        return fingerprint in [self._digest(*parts) for parts in product(models, sets)]

    def _sets_sha256(self) -> str:
        """Digest of the training and validation set, without the statistics and pages in the same folder."""
        manifest = read_manifest(self.dataset.path)
        if manifest is None or TRAIN_SET not in manifest.files:
            return self.dataset.sha256
        names = [name for name in (TRAIN_SET, VALIDATION_SET) if name in manifest.files]
        return digest_of({name: manifest.files[name]["sha256"] for name in names})

    def _digest(self, model: dict[str, object], sets_sha256: str) -> str:
        return digest_of(
            {
                "base": self.base.sha256,
                "dataset": sets_sha256,
                "images": self.dataset.images_sha256,
                "model": model,
                "training": self.training.content,
            }
        )
