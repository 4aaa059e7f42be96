"""Intervals cover and verdicts hold their level, by simulation on real scores per image."""

import numpy as np
import pytest
from build_values import build
from cells import COVERS, ONE_SIDE, Cell
from known_limits import LIMITS, limit_of
from real_values import ANSWERS, SOURCES, VALUES
from support.locations import REAL
from tables import TABLES

RAW = REAL / "instructions_raw.json"


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_within_its_bound_or_its_known_limit(name: str) -> None:
    cells = TABLES[name].cells(TABLES[name].quick)
    outside = [
        f"{cell.row}, {cell.column}: {cell.share:.3f} is outside {bound.low:g} to {bound.high:g}"
        for cell in cells
        if cell.is_outside(bound := limit_of(name, cell) or cell.bound)
    ]
    assert outside == []
    # the limit of a cell that is gone would go unnoticed
    limited = {
        (row, column) for limit in LIMITS if limit.table == name for row in limit.rows for column in limit.columns
    }
    assert limited <= {(cell.row, cell.column) for cell in cells}


def test_a_share_is_outside_only_beyond_the_error_of_the_simulation() -> None:
    # 95 % of a percentile bootstrap over seven images, and twice the level of a test
    assert Cell("", "", 258, 300, COVERS).is_outside(COVERS)
    assert Cell("", "", 300, 300, COVERS).is_outside(COVERS)
    assert Cell("", "", 20, 250, ONE_SIDE).is_outside(ONE_SIDE)
    # as far as chance goes
    assert not Cell("", "", 273, 300, COVERS).is_outside(COVERS)
    assert not Cell("", "", 10, 250, ONE_SIDE).is_outside(ONE_SIDE)


def test_the_values_are_small_and_numbers_only() -> None:
    assert VALUES.stat().st_size < 300_000
    with np.load(VALUES, allow_pickle=False) as stored:
        kinds = {stored[name].dtype.kind for name in stored.files}
        assert len(stored.files) == 3 * len(SOURCES) * len(ANSWERS)
    assert kinds <= {"f", "u"}


@pytest.mark.slow
@pytest.mark.skipif(not RAW.is_file(), reason="skipped: real records not present")
def test_the_values_are_those_of_the_real_captions() -> None:
    built = build(RAW)
    with np.load(VALUES) as stored:
        assert set(stored.files) == set(built)
        for name in stored.files:
            np.testing.assert_allclose(stored[name], built[name], atol=2e-4, err_msg=name)
