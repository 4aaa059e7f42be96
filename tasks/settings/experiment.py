"""ExperimentConfig: all settings of an experiment, one frozen section per stage.

The sections are the run form in Prefect's UI, so each field has a description with its unit and bounds.
`training` keeps the argument names of LLaVA and transformers.
"""

from collections.abc import Mapping

import yaml
from pydantic import Field, ValidationError, model_validator

from tasks.errors import ConfigError
from tasks.settings.base import Section
from tasks.settings.changes import changed
from tasks.settings.data import DataConfig
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.inference import InferenceConfig
from tasks.settings.model import MergingConfig, ModelConfig, without_directories
from tasks.settings.storage import ArchiveConfig, StoreConfig
from tasks.settings.training import TrainingConfig


class ExperimentConfig(Section):
    """All settings of an experiment, from the data folder to the report."""

    data: DataConfig = Field(DataConfig(), description="Data and split.")
    model: ModelConfig = Field(ModelConfig(), description="Base model.")
    training: TrainingConfig = Field(TrainingConfig(), description="Fine-tuning.")
    archive: ArchiveConfig = Field(ArchiveConfig(), description="Archive of checkpoints in the store.")
    merging: MergingConfig = Field(MergingConfig(), description="Merging the adapter into the base model.")
    inference: InferenceConfig = Field(InferenceConfig(), description="Generating answers to the test set.")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="Scores and report.")
    store: StoreConfig = Field(StoreConfig(), description="Object storage.")

    @model_validator(mode="after")
    def _best_needs_validation(self) -> "ExperimentConfig":
        if (self.archive.keep.best or self.archive.keep_local.best) and self.training.eval_strategy == "no":
            raise ValueError("archive: the best checkpoint is known only with training.eval_strategy steps or epoch")
        return self

    @model_validator(mode="after")
    def _scoring_needs_a_validation_set(self) -> "ExperimentConfig":
        if self.archive.score_images and self.data.train + self.data.test > 1 - 1e-9:
            raise ValueError(
                f"archive.score_images is {self.archive.score_images}, but the validation set is empty: "
                "lower data.train or data.test"
            )
        return self

    def with_(self, **settings: object) -> "ExperimentConfig":
        """A copy with other settings, by dotted path or section: `with_(**{"training.lora_r": 16})` or
        `with_(training={"lora_r": 16})`.

        A section keeps what it does not name. Raises ConfigError for an unknown setting or a value out of bounds.
        """
        from tasks.settings.explaining import explain

        try:
            return ExperimentConfig.model_validate(changed(self.as_plain(), settings))
        except ValidationError as error:
            raise ConfigError(explain(error)) from None

    def of_first_machine(self) -> "ExperimentConfig":
        """The same configuration for machine 0: all machines of a training share one run and one experiment.yaml."""
        return self.model_copy(update={"training": self.training.model_copy(update={"node_rank": 0})})

    def as_plain(self) -> dict[str, dict[str, object]]:
        """The configuration as JSON-serializable values, by field name."""
        return self.model_dump(mode="json")

    def as_yaml(self) -> str:
        """The configuration as YAML, in order of definition."""
        return yaml.safe_dump(self.as_plain(), sort_keys=False, allow_unicode=True)


def without_store(settings: Mapping[str, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """Plain settings of an experiment without those of the store, which change no result."""
    return {name: value for name, value in settings.items() if name not in ("archive", "store")}


def without_locations(settings: Mapping[str, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """Plain settings of an experiment without the locations of data, base model and store."""
    kept = without_store(settings)
    data = DataConfig.without_locations(kept.get("data", {}))
    return {**kept, "data": data, "model": without_directories(kept.get("model", {}))}
