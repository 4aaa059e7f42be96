"""The colours of drawn scenes."""

from tasks.data.synthetic.drawing import PALETTE


def test_every_colour_is_one_of_eight_bits() -> None:
    assert all(len(colour) == 3 and set(colour) <= set(range(256)) for colour in PALETTE.values())
