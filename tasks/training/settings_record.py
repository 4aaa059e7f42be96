"""With which settings a training was made, and in what others differ from them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import DataError, OccupiedError
from tasks.files import read_json
from tasks.model.checkpoint_origin import weights_fingerprint
from tasks.paths import FINAL, ORIGIN, TRAIN_SET, manifest_beside
from tasks.settings import NAME, ExperimentConfig
from tasks.training.checkpoints import whole_checkpoints
from tasks.training.job import TrainingOrder

Settings = Mapping[str, Mapping[str, Any]]
# how often a training is divided differently without another result is no setting of its own
SAID_AS = {"training.micro_batches_a_step": "nnodes x nproc_per_node x gradient_accumulation_steps of training"}


def settings_of(config: ExperimentConfig) -> dict[str, dict[str, Any]]:
    """What of an experiment's settings decides the trained weights."""
    return {"data": config.data.content, "model": config.model.content, "training": config.training.content}


def settings_of_order(order: TrainingOrder) -> dict[str, dict[str, Any]]:
    """The same of an order; those of the data as its sets tell them."""
    file = manifest_beside(order.dataset.path / TRAIN_SET)
    data = read_json(file).get("parameters", {}) if file.is_file() else {}
    return {"data": data, "model": order.model.content, "training": order.training.content}


def require_same_settings(training: Path, config: ExperimentConfig) -> None:
    """Raise OccupiedError where a training folder holds what other settings, or a base of other weights, made.

    Nothing is read of the data, nor of a base that has no directory yet.
    """
    for folder in trained_folders(training):
        if differences(trained_settings(folder), settings_of(config)):
            raise OccupiedError(refusal(folder, settings_of(config)))
        if _has_other_base(folder, config.model.base):
            raise OccupiedError(
                f"{folder} was trained with another base model than {config.model.base}: choose another --name, or "
                "give that again."
            )


def _has_other_base(trained: Path, base: str) -> bool:
    """Whether a directory holds other weights than those that were trained; a name is a setting."""
    if NAME.fullmatch(base) or not Path(base).is_dir():
        return False
    return _origin(trained).get("base_weights", "") not in ("", weights_fingerprint(Path(base)))


def trained_folders(training: Path) -> list[Path]:
    """What tells of the training in a folder: its newest whole checkpoint and its end, where there are any."""
    return [*whole_checkpoints(training)[-1:], *(path for path in (training / FINAL,) if path.is_dir())]


def trained_settings(checkpoint: Path) -> dict[str, dict[str, Any]]:
    """With which settings a checkpoint was trained; empty where it does not tell, as those of earlier versions."""
    settings = _origin(checkpoint).get("settings")
    return settings if isinstance(settings, dict) else {}


def _origin(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint tells of where it comes from; empty where it tells nothing."""
    try:
        origin = read_json(checkpoint / ORIGIN)
    except (OSError, DataError):
        return {}
    return origin if isinstance(origin, dict) else {}


def differences(trained: Settings, asked: Settings) -> list[str]:
    """Each setting that both know and that differs, with both values; by its full name."""
    return [
        f"{SAID_AS.get(name, name)} was {_said(trained[section][key])} and is {_said(value)}"
        for section, values in asked.items()
        for key, value in values.items()
        for name in (f"{section}.{key}",)
        if key in trained.get(section, {}) and trained[section][key] != value
    ]


def refusal(folder: Path, asked: Settings) -> str:
    """Why what was trained in a folder is not gone on with, where it is known to be another training."""
    trained = trained_settings(folder)
    if differing := differences(trained, asked):
        why = f"other settings ({'; '.join(differing)})"
    else:
        why = "other data or another base model" if trained else "other data or settings"
    return f"{folder} was trained with {why}: choose another --name, or give those again."


def _said(value: Any) -> str:
    return "empty" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
