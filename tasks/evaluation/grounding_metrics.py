"""Metrics of answers with boxes: overlap with the reference's boxes, in the reference's convention only.

A text does not say on which scale its numbers are, nor whether the last two are a corner or a size: both follow from
all references of a source. An answer in another form or on another scale is not readable; it is never converted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.boxes import Box, Boxes, read_boxes
from tasks.evaluation.metrics.box_overlap import overlap_of_all
from tasks.evaluation.pairing import AskedTurn, PairedRecord

# the form of tasks.boxes in which some write sizes
BRACKETS = "brackets"
CORNERS, SIZES = "x1, y1, x2, y2", "x, y, width, height"
# the largest coordinate of each scale
SCALES = (1, 100, 1000)
PIXELS = "pixels"
NO_BOX, OTHER_CONVENTION = "no_box", "other_convention"
UNREADABLE = (NO_BOX, OTHER_CONVENTION)
# fewer answers may all be small by chance
FEWEST_FOR_SCALE = 5
# the least ratio of the largest numbers of two scales; a single box may reach a little beyond its own
SCALES_APART = 2


@dataclass(frozen=True, slots=True)
class AnsweredBoxes:
    """One answer to a question for boxes: its overlap and its share of hits, 0 if it is not readable."""

    record: int
    turn: int
    image: str
    overlap: float
    hits: float
    unreadable: str | None


@dataclass(frozen=True)
class Convention:
    """How references of one form write boxes; `scale` is the largest coordinate, None for pixels."""

    form: str
    layout: str
    scale: int | None

    @classmethod
    def of(cls, form: str, references: Iterable[Boxes]) -> "Convention":
        """The convention of all references of this form."""
        boxes = [box for each in references if each.form == form for box in each.boxes]
        # the other forms are of corners alone; a small object may have no width on its scale
        corners = form != BRACKETS or all(box[2] >= box[0] and box[3] >= box[1] for box in boxes)
        return cls(form, CORNERS if corners else SIZES, scale_of(boxes))

    def read(self, text: str) -> tuple[Box, ...] | str:
        """The boxes of an answer as corners, or why it is not readable."""
        found = read_boxes(text)
        if found is None:
            return NO_BOX
        return self.corners(found) if self._is_own(found) else OTHER_CONVENTION

    def _is_own(self, found: Boxes) -> bool:
        largest = largest_number(found.boxes)
        if found.form != self.form or (self.layout == CORNERS and any(box[2] < box[0] for box in found.boxes)):
            return False
        # shares of the image, where the references have numbers beyond 1
        is_share = self.scale != 1 and 0 < largest <= 1
        return not is_share and (self.scale is None or largest <= self.scale)

    def corners(self, found: Boxes) -> tuple[Box, ...]:
        """Boxes of this convention as corners."""
        if self.layout == CORNERS:
            return found.boxes
        return tuple((x, y, x + width, y + height, *angle) for x, y, width, height, *angle in found.boxes)

    def as_json(self) -> dict[str, str]:
        """The convention for metrics.json."""
        return {"form": self.form, "layout": self.layout, "scale": f"0-{self.scale}" if self.scale else PIXELS}


def scale_of(boxes: Iterable[Box]) -> int | None:
    """The least scale that has room for all coordinates; None for pixels."""
    largest = largest_number(boxes)
    return next((scale for scale in SCALES if largest <= scale), None)


def largest_number(boxes: Iterable[Box]) -> float:
    """The largest coordinate or size."""
    return max(abs(number) for box in boxes for number in box[:4])


def answered_boxes(records: Sequence[PairedRecord]) -> tuple[list[AnsweredBoxes], list[Convention]]:
    """The answers to a source's questions for boxes, sorted by image, and the conventions of the references.

    Questions whose reference has no box are left out.
    """
    asked = [
        (record, turn, boxes)
        for record in records
        for turn in record.asked_for("grounding")
        if (boxes := read_boxes(turn.reference))
    ]
    references = [boxes for *_, boxes in asked]
    conventions = [Convention.of(form, references) for form in dict.fromkeys(boxes.form for boxes in references)]
    found = [each for convention in conventions for each in _answered(asked, convention)]
    return sorted(found, key=lambda each: (each.image, each.record, each.turn)), conventions


def _answered(
    asked: Sequence[tuple[PairedRecord, AskedTurn, Boxes]], convention: Convention
) -> Iterator[AnsweredBoxes]:
    """The answers to the questions whose reference is in this convention."""
    asked = [each for each in asked if each[2].form == convention.form]
    read = [convention.read(turn.answer or "") for _, turn, _ in asked]
    if _is_on_another_scale(read, convention, [box for *_, reference in asked for box in reference.boxes]):
        read = [each if isinstance(each, str) else OTHER_CONVENTION for each in read]
    for (record, turn, reference), boxes in zip(asked, read, strict=True):
        yield _scored(record, turn, boxes, convention.corners(reference))


def lacks_boxes(turn: AskedTurn) -> bool:
    """Whether a reference answer has no box."""
    return read_boxes(turn.reference) is None


def _is_on_another_scale(
    read: Sequence[tuple[Box, ...] | str], convention: Convention, references: Iterable[Box]
) -> bool:
    """Whether all answers fit a smaller scale than the references."""
    boxes = [box for each in read if not isinstance(each, str) for box in each]
    if len(boxes) < FEWEST_FOR_SCALE or convention.scale is None:
        return False
    scale = scale_of(boxes)
    is_apart = SCALES_APART * largest_number(boxes) <= largest_number(references)
    return scale is not None and scale < convention.scale and is_apart


def _scored(
    record: PairedRecord, turn: AskedTurn, boxes: tuple[Box, ...] | str, references: tuple[Box, ...]
) -> AnsweredBoxes:
    mean, hits = (0.0, 0.0) if isinstance(boxes, str) else overlap_of_all(boxes, references)
    return AnsweredBoxes(record.index, turn.number, record.image, mean, hits, boxes if isinstance(boxes, str) else None)


def mean_iou(answered: AnsweredBoxes) -> float:
    """Intersection over union with the reference's boxes."""
    return answered.overlap


def accuracy_at_half(answered: AnsweredBoxes) -> float:
    """The share of boxes that overlap the reference's by at least a half."""
    return answered.hits
