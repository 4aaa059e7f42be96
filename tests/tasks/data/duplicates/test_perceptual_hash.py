"""Pixels of pairs, of which one may be overexposed."""

import numpy as np

from tasks.data.duplicates.perceptual_hash import SIDE, level_overexposed


def test_only_pairs_with_an_overexposed_image_are_clipped() -> None:
    one, other = np.random.default_rng(28).integers(0, 240, (2, 2, SIDE, SIDE)).astype(np.uint8)
    one[1, 0] = 255
    found, beside = level_overexposed(one, other)
    assert (found[0] == one[0]).all() and (beside[0] == other[0]).all()
    for clipped, whole in ((found[1], one[1]), (beside[1], other[1])):
        assert (clipped == np.minimum(whole, clipped.max())).all() and clipped.max() < whole.max()
