"""How a checkpoint was trained, from its own files, for the report on its answers."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from tasks.files import read_json_object
from tasks.paths import ADAPTER_CONFIG, ORIGIN, TRAINER_STATE, notes_folder_of, parse_checkpoint_name
from tasks.records import TrainingFacts
from tasks.training.loss_curve import Point, loss_points

MOST_POINTS = 120
NS = 1_000_000_000


def read_training_facts(checkpoint: Path) -> TrainingFacts | None:
    """The facts of a checkpoint in a run's training folder; None if it is not there or its state is not readable."""
    origin, adapter, state = (read_json_object(checkpoint / name) for name in (ORIGIN, ADAPTER_CONFIG, TRAINER_STATE))
    step, history = state.get("global_step"), state.get("log_history")
    if not isinstance(step, int) or not isinstance(history, list):
        return None
    settings = _sections(origin.get("settings"))
    losses = loss_points(history, "loss")
    return TrainingFacts(
        base=origin.get("base"),
        lora_rank=adapter.get("r"),
        learning_rate=settings.get("training", {}).get("learning_rate"),
        epochs=state.get("epoch") or 0,
        steps=step,
        final_loss=losses[-1][1] if losses else None,
        losses=tuple(_thinned(losses)),
        validation_losses=tuple(_thinned(loss_points(history, "eval_loss"))),
        settings=settings,
        date=_date_of(notes_folder_of(checkpoint), step),
    )


def _sections(found: object) -> dict[str, dict[str, Any]]:
    """The sections of saved settings; checkpoints of earlier versions have none."""
    if not isinstance(found, dict):
        return {}
    return {str(name): values for name, values in found.items() if isinstance(values, dict)}


def _thinned(points: Sequence[Point]) -> list[Point]:
    """At most 120 points: the means of parts of equal size, at the last step of each."""
    size = math.ceil(len(points) / MOST_POINTS) or 1
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], mean(loss for _, loss in part)) for part in parts]


def _date_of(notes: Path, step: int) -> str | None:
    """The day on which the run last saved a step, by its notes: a fetched checkpoint's files are of another day."""
    named = [(parse_checkpoint_name(path.stem), path) for path in notes.glob("*.json")]
    saved = [read_json_object(path).get("saved_at_ns") for name, path in named if name and name[0] == step]
    times = [time for time in saved if isinstance(time, int)]
    return datetime.fromtimestamp(max(times) / NS, UTC).date().isoformat() if times else None
