import pytest

from tasks.axes import axis_end


@pytest.mark.parametrize(
    ("highest", "intervals", "whole", "end"),
    [
        (3.33, 4, False, 4.0),
        (216, 4, True, 240),
        (60, 5, True, 60),
        (1, 5, True, 5),
        (0.31, 5, False, 0.4),
        (4, 4, False, 4),
    ],
)
def test_an_axis_holds_the_highest_value_and_has_round_marks(
    highest: float, intervals: int, whole: bool, end: float
) -> None:
    assert axis_end(highest, intervals, whole) == pytest.approx(end)
