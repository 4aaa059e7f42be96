"""Cells that are outside the bound of their table, with the bound that they are held to instead, and the reason.

No interval and no test holds for every distribution with few images (Bahadur and Savage 1956).
"""

from typing import NamedTuple

from cells import Bound, Cell
from intervals_cover import of_accuracy


class Limit(NamedTuple):
    """Cells of one table by row and columns, which are held to a wider bound."""

    table: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    bound: Bound
    reason: str


FEW = ("7", "20", "50")
# a test has no verdict below six images
SMALLEST = ("6", *FEW[:1], "10", "20")
EVERY_ACCURACY = tuple(dict.fromkeys(case.row for case in of_accuracy()))
LIMITS = (
    Limit(
        "scores",
        ("RSICD CIDEr human",),
        ("7", "20"),
        Bound(0.91, 0.985),
        "A third of the images have the highest CIDEr, as their references are copies: a lattice, too short at 7 and "
        "too long at 20 images.",
    ),
    Limit(
        "scores",
        ("NWPU CIDEr peer",),
        ("20",),
        Bound(0.91, 0.97),
        "Few images have high scores, and among 20 images they are often missing.",
    ),
    Limit(
        "scores",
        (
            *(f"{source} METEOR peer" for source in ("RSICD", "NWPU", "UCM")),
            *(f"{source} BLEU-4 peer" for source in ("RSICD", "NWPU", "UCM")),
            *(f"{source} CIDEr best_of_five" for source in ("RSICD", "UCM")),
        ),
        FEW,
        Bound(0.93, 0.985),
        "Too long: the correction for skewness that other data need.",
    ),
    Limit(
        "paired",
        ("NWPU peer - any_image, worse",),
        (*SMALLEST, "50"),
        Bound(0, 0.10),
        "Rare large values: most images differ little and few by much, and a sample without those shows a difference.",
    ),
    Limit(
        "paired",
        tuple(f"RSICD {pair}, worse" for pair in ("best_of_five - peer", "peer - any_image", "class_consensus - peer")),
        (*SMALLEST, "50"),
        Bound(0, 0.065),
        "Skewed differences, as for NWPU.",
    ),
    Limit(
        "paired",
        ("NWPU peer - second_peer, worse", "NWPU best_of_five - peer, worse"),
        ("20", "50", "100"),
        Bound(0, 0.035),
        "Skewed differences, as for NWPU.",
    ),
    Limit(
        "accuracy",
        EVERY_ACCURACY,
        ("7",),
        Bound(0.915, 0.993),
        "Too long: seven images cannot exclude that right answers are clustered. With one question per image, and with "
        "large correlations, accuracies are a lattice.",
    ),
    Limit("accuracy", EVERY_ACCURACY, ("20",), Bound(0.92, 0.987), "As with seven images, less so."),
    Limit(
        "accuracy",
        tuple(f"{questions} questions, correlation 0.8, accuracy 0.95" for questions in (5, 20)),
        ("50",),
        Bound(0.895, 0.97),
        "All wrong answers are on two or three images.",
    ),
    Limit("drift", ("unchanged weights",), ("20",), Bound(0.4, 1), "The loss is that of two or three images."),
    Limit(
        "drift",
        ("an equal model retrained each night",),
        ("100",),
        Bound(0.1, 1),
        "The noise of new models is larger than that of a GPU, and hides the loss.",
    ),
)


def limit_of(table: str, cell: Cell) -> Bound | None:
    """The wider bound of a cell; None if it is held to that of its table."""
    found = (limit for limit in LIMITS if limit.table == table and cell.row in limit.rows)
    return next((limit.bound for limit in found if cell.column in limit.columns), None)
