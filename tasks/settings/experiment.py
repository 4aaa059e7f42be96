"""What an experiment is: one frozen model a stage, and ExperimentConfig over them.

These models are the run form in Prefect's UI, so each field says what it is, its unit and its bounds.
`training` keeps the argument names of LLaVA and transformers.
"""

from typing import Any

import yaml
from pydantic import Field, model_validator

from tasks.settings.base import Section
from tasks.settings.data import DataConfig
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.inference import InferenceConfig
from tasks.settings.model import MergingConfig, ModelConfig, without_directories
from tasks.settings.storage import ArchiveConfig, StoreConfig
from tasks.settings.training import TrainingConfig


class ExperimentConfig(Section):
    """A whole experiment, from the data folder to the report."""

    data: DataConfig = Field(DataConfig(), description="Data and split.")
    model: ModelConfig = Field(ModelConfig(), description="Base model.")
    training: TrainingConfig = Field(TrainingConfig(), description="Fine-tuning.")
    archive: ArchiveConfig = Field(ArchiveConfig(), description="Archive of checkpoints.")
    merging: MergingConfig = Field(MergingConfig(), description="Merge of the adapter into the base.")
    inference: InferenceConfig = Field(InferenceConfig(), description="Answers to the test set.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="Scores and report.")
    store: StoreConfig = Field(StoreConfig(), description="Object storage.")

    @model_validator(mode="after")
    def _best_can_be_known(self) -> "ExperimentConfig":
        if (self.archive.keep.best or self.archive.keep_local.best) and self.training.eval_strategy == "no":
            raise ValueError("archive: the best checkpoint is known only with training.eval_strategy steps or epoch")
        return self

    @model_validator(mode="after")
    def _something_is_left_to_score_by(self) -> "ExperimentConfig":
        if self.archive.score_images and self.data.train + self.data.test > 1 - 1e-9:
            raise ValueError(
                f"archive.score_images is {self.archive.score_images}, but nothing is left for the validation set: "
                "lower data.train or data.test"
            )
        return self

    def of_first_machine(self) -> "ExperimentConfig":
        """The same on machine 0: the machines of one training are one run, of one name and one experiment.yaml."""
        return self.model_copy(update={"training": self.training.model_copy(update={"node_rank": 0})})

    def as_plain(self) -> dict[str, Any]:
        """The configuration as JSON-able values, by field name."""
        return self.model_dump(mode="json")

    def as_yaml(self) -> str:
        """The whole configuration as YAML, in the order of its definition."""
        return yaml.safe_dump(self.as_plain(), sort_keys=False, allow_unicode=True)


def without_locations(settings: dict[str, Any]) -> dict[str, Any]:
    """An experiment's settings, as plain values, but for where its data, its base and its store are."""
    kept = {name: value for name, value in settings.items() if name not in ("archive", "store")}
    data = {name: value for name, value in kept.get("data", {}).items() if name not in DataConfig.LOCATIONS}
    return {**kept, "data": data, "model": without_directories(kept.get("model", {}))}
