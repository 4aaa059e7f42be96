"""The controls of one source: their scores, and what a paired comparison with the model needs."""

from typing import NamedTuple

from tasks.evaluation.scores import Controls
from tasks.evaluation.uncertainty.moments import Floats


class SourceControls(NamedTuple):
    """Controls for metrics.json, and the statistics of the image-blind ones by name.

    Statistics are (images, 3): sums of the model's scores, of the control's scores, and their number, so that both are
    compared on the same questions.
    """

    scores: Controls
    statistics: dict[str, Floats]
