"""What a score is worth: what it gains over the best answer that looks at no image."""

from collections.abc import Mapping
from typing import Any

from tasks.evaluation.metrics.bootstrap import FEWEST_IMAGES

# In this order the first that is known: from the training set, else the model's own answers to other images.
BLIND = (("train_consensus", "constant"), ("question_only", "majority"), ("shuffled_images",))


def blind_score(controls: Mapping[str, Any]) -> float | None:
    """The best control that sees no image; without a training set, the model's own answers for other images."""
    for names in BLIND:
        known = [controls[name] for name in names if controls.get(name) is not None]
        if known:
            return float(max(known))
    return None


def gain_is_shown(scores: Mapping[str, Any], metric: str) -> bool:
    """Whether the whole interval of a source's score lies above the best answer without the image."""
    blind, interval = blind_score(scores["controls"]), scores["ci95"][metric]
    if blind is None or scores["images"] < FEWEST_IMAGES:
        return False
    return bool((interval[0] if interval else scores[metric]) > blind)
