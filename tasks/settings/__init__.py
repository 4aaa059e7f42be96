"""The configuration of an experiment: one frozen section per stage, one file per section."""

from tasks.settings.api import ApiConfig
from tasks.settings.base import Section, bounds_text
from tasks.settings.custom_source import Address, CustomSource, QuestionPattern
from tasks.settings.data import DataConfig, SampleConfig
from tasks.settings.evaluation import EvaluationConfig
from tasks.settings.experiment import ExperimentConfig, without_locations
from tasks.settings.inference import InferenceConfig
from tasks.settings.model import MODEL_NAME, TOY, TOY_QWEN, TOYS, MergingConfig, ModelConfig
from tasks.settings.storage import ArchiveConfig, KeepRule, StoreConfig
from tasks.settings.training import TrainingConfig

__all__ = [
    "MODEL_NAME",
    "TOY",
    "TOYS",
    "TOY_QWEN",
    "Address",
    "ApiConfig",
    "ArchiveConfig",
    "CustomSource",
    "DataConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "InferenceConfig",
    "KeepRule",
    "MergingConfig",
    "ModelConfig",
    "QuestionPattern",
    "SampleConfig",
    "Section",
    "StoreConfig",
    "TrainingConfig",
    "bounds_text",
    "without_locations",
]
