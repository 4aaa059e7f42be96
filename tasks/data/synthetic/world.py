"""Synthetic scenes as objects with positions, so that every text about them can be checked.

A scene is 64 units wide and high, whatever its size in pixels; x points to the right, y downwards.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SIDE = 64.0
SIDES = ("top", "right", "bottom", "left")
TEXTURE_SIDE = 16

Box = tuple[float, float, float, float]
Point = tuple[float, float]

# Width and height of each kind, in units, before rotation.
SIZES: Mapping[str, tuple[float, float]] = {
    "plane": (12, 12),
    "ship": (13, 6),
    "tank": (11, 11),
    "car": (8, 5),
    "house": (9, 8),
    "tree": (7, 7),
    "umbrella": (6, 6),
    "pool": (9, 6),
    "pond": (14, 10),
    "terminal": (14, 8),
    "crown": (10, 10),
}


@dataclass(frozen=True)
class Patch:
    """A flat area of the ground, such as a road or a field; kind "" is a marking."""

    kind: str
    colour: str
    points: tuple[Point, ...]

    def covers(self, x: float, y: float) -> bool:
        """Whether a point, in units, is inside the polygon."""
        inside = False
        # even-odd rule: from inside, a ray to the right crosses the outline an odd number of times
        for (x1, y1), (x2, y2) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            if (y1 > y) != (y2 > y) and x < x1 + (x2 - x1) * (y - y1) / (y2 - y1):
                inside = not inside
        return inside


@dataclass(frozen=True)
class Thing:
    """An object, by its centre in units; `turns` are quarter turns clockwise."""

    kind: str
    x: float
    y: float
    turns: int
    colour: str

    @property
    def box(self) -> Box:
        """Left, top, right and bottom, in units."""
        width, height = SIZES[self.kind] if self.turns % 2 == 0 else reversed(SIZES[self.kind])
        return (self.x - width / 2, self.y - height / 2, self.x + width / 2, self.y + height / 2)


@dataclass(frozen=True)
class Scene:
    """One overhead scene of a land-use class; `side` is the side of its main feature."""

    land_use: str
    ground: str
    side: str
    patches: tuple[Patch, ...]
    things: tuple[Thing, ...]
    texture: bytes
    tint: int
    facts: Mapping[str, str] = field(default_factory=dict)

    def count(self, *kinds: str) -> int:
        """The number of patches and things of these kinds."""
        patches = sum(patch.kind in kinds for patch in self.patches)
        return patches + sum(thing.kind in kinds for thing in self.things)

    def colour_of(self, kind: str) -> str:
        """The colour of the first thing of a kind, or "" if there is none."""
        return next((thing.colour for thing in self.things if thing.kind == kind), "")


def cells(zone: Box, columns: int, rows: int) -> list[Box]:
    """Divide a zone into equal cells, row by row."""
    left, top, right, bottom = zone
    width, height = (right - left) / columns, (bottom - top) / rows
    return [
        (left + c * width, top + r * height, left + (c + 1) * width, top + (r + 1) * height)
        for r in range(rows)
        for c in range(columns)
    ]


class Plot:
    """Builds a scene with its main feature at the top, and rotates it at the end."""

    def __init__(self, rng: random.Random, ground: str):
        self.rng, self.ground = rng, ground
        self.patches: list[Patch] = []
        self.things: list[Thing] = []

    def band(self, kind: str, colour: str, box: Box) -> None:
        """Add a rectangle."""
        left, top, right, bottom = box
        self.area(kind, colour, [(left, top), (right, top), (right, bottom), (left, bottom)])

    def area(self, kind: str, colour: str, points: Sequence[Point]) -> None:
        """Add a polygon."""
        self.patches.append(Patch(kind, colour, tuple(points)))

    def dashes(self, y: float) -> None:
        """Add the centre line of a horizontal road."""
        for start in range(2, 64, 10):
            self.band("", "white", (start, y - 0.6, start + 5, y + 0.6))

    def scatter(
        self, kind: str, count: int, free: list[Box], colours: Sequence[str], turns: tuple[int, ...] = (0,)
    ) -> None:
        """Add `count` things of one colour, one per free cell; used cells are removed from `free`."""
        colour = self.rng.choice(colours)
        for cell in self.rng.sample(free, count):
            free.remove(cell)
            turn = self.rng.choice(turns)
            width, height = SIZES[kind] if turn % 2 == 0 else reversed(SIZES[kind])
            x = self._within(cell[0], cell[2], width)
            y = self._within(cell[1], cell[3], height)
            self.things.append(Thing(kind, x, y, turn, colour))

    def _within(self, low: float, high: float, size: float) -> float:
        # crowns are wider than their cells and shift too, so that a forest does not look like a grid
        slack = abs(high - low - size) / 2
        return (low + high) / 2 + self.rng.uniform(-slack, slack)

    def finish(self, land_use: str, turns: int, facts: Mapping[str, str] | None = None) -> Scene:
        """The finished scene, rotated clockwise by quarter turns."""
        patches = tuple(
            Patch(patch.kind, patch.colour, tuple(_rotated(point, turns) for point in patch.points))
            for patch in self.patches
        )
        things = tuple(
            Thing(thing.kind, *_rotated((thing.x, thing.y), turns), (thing.turns + turns) % 4, thing.colour)
            for thing in self.things
        )
        return Scene(
            land_use,
            self.ground,
            SIDES[turns % 4],
            patches,
            things,
            self.rng.randbytes(TEXTURE_SIDE * TEXTURE_SIDE),
            self.rng.randint(-10, 10),
            dict(facts or {}),
        )


def _rotated(point: Point, turns: int) -> Point:
    x, y = point
    for _ in range(turns % 4):
        x, y = SIDE - y, x
    return x, y
