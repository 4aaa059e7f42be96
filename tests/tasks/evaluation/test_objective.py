"""The objective of several sources, and the test of its gaps."""

import numpy as np
import pytest

from tasks.evaluation.objective import Reference, Standard, p_values_to_best


@pytest.mark.parametrize("points", [2, 3])
def test_a_source_with_few_images_cannot_call_a_point_worse(points: int) -> None:
    random = np.random.default_rng(28)
    many = random.normal(size=(200, 1)) + random.normal(size=(200, points))
    many += 1 - many.mean(axis=0)
    reference = Reference(
        sources={
            "RSICD": Standard(metric="CIDEr", value=1, error=0.1),
            "DOTA": Standard(metric="accuracy", value=0.5, error=0.2),
        }
    )
    for images, found in ((5, False), (6, True)):
        # right on every image or on none: there is no spread from which an error could be seen
        few = np.tile([1.0] + [0.0] * (points - 1), (images, 1))
        p_values = p_values_to_best({"RSICD": many, "DOTA": few}, reference)
        assert p_values[0] == 1
        assert (p_values[1] < 0.05) is found
