"""The settings saved with a training, and how others differ from them."""

from collections.abc import Mapping
from pathlib import Path

from tasks.errors import DataError, OccupiedError
from tasks.files import read_json
from tasks.model.checkpoint_origin import weights_fingerprint
from tasks.paths import FINAL, ORIGIN, TRAIN_SET, manifest_path_of
from tasks.settings import MODEL_NAME, ExperimentConfig
from tasks.training.job import TrainingJob
from tasks.training.saved_checkpoints import complete_checkpoints

Settings = Mapping[str, Mapping[str, object]]
# Only the product decides the result; how it is divided among its factors does not.
SHOWN_AS = {"training.micro_batches_a_step": "nnodes x nproc_per_node x gradient_accumulation_steps of training"}


def settings_of(config: ExperimentConfig) -> dict[str, dict[str, object]]:
    """The settings of an experiment that decide the trained weights."""
    return {"data": config.data.content, "model": config.model.content, "training": config.training.content}


def settings_of_job(job: TrainingJob) -> dict[str, dict[str, object]]:
    """The settings of a job that decide the trained weights; those of the data come from the manifest of its sets."""
    file = manifest_path_of(job.dataset.path / TRAIN_SET)
    data = read_json(file).get("parameters", {}) if file.is_file() else {}
    return {"data": data, "model": job.model.content, "training": job.training.content}


def require_same_settings(training: Path, config: ExperimentConfig) -> None:
    """Raise OccupiedError if a training folder was created with different settings or different base weights.

    Reads no data, and no base that is not on this machine yet.
    """
    for folder in trained_folders(training):
        if differences(trained_settings(folder), settings_of(config)):
            raise OccupiedError(settings_message(folder, settings_of(config)))
        if _has_other_base(folder, config.model.base):
            raise OccupiedError(
                f"{folder} was trained with another base model than {config.model.base}: choose another --name, or use "
                "the same base model again."
            )


def _has_other_base(trained: Path, base: str) -> bool:
    """Whether the weights in directory `base` differ from the trained base's; hub names are compared as settings."""
    if MODEL_NAME.fullmatch(base) or not Path(base).is_dir():
        return False
    return _saved_origin(trained).get("base_weights", "") not in ("", weights_fingerprint(Path(base)))


def trained_folders(training: Path) -> list[Path]:
    """The newest complete checkpoint of a training folder and its `final`, if they exist."""
    return [*complete_checkpoints(training)[-1:], *(path for path in (training / FINAL,) if path.is_dir())]


def trained_settings(checkpoint: Path) -> dict[str, dict[str, object]]:
    """The settings that a checkpoint was trained with; empty if they are not saved with it, as in earlier versions."""
    settings = _saved_origin(checkpoint).get("settings")
    return settings if isinstance(settings, dict) else {}


def _saved_origin(checkpoint: Path) -> dict[str, object]:
    """The content of a checkpoint's origin.json; empty if the file is missing or damaged."""
    try:
        origin = read_json(checkpoint / ORIGIN)
    except (OSError, DataError):
        return {}
    return origin if isinstance(origin, dict) else {}


def differences(trained: Settings, requested: Settings) -> list[str]:
    """Each setting that is in both and differs, by its full name, with both values."""
    return [
        f"{SHOWN_AS.get(name, name)} was {_shown(trained[section][key])} and is {_shown(value)}"
        for section, values in requested.items()
        for key, value in values.items()
        for name in (f"{section}.{key}",)
        if key in trained.get(section, {}) and trained[section][key] != value
    ]


def settings_message(folder: Path, requested: Settings) -> str:
    """Error message for a folder that holds another training: which settings differ, as far as that is known."""
    trained = trained_settings(folder)
    if differing := differences(trained, requested):
        why = f"other settings ({'; '.join(differing)})"
    else:
        why = "other data or another base model" if trained else "other data or settings"
    return f"{folder} was trained with {why}: choose another --name, or use the same settings again."


def _shown(value: object) -> str:
    return "empty" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
