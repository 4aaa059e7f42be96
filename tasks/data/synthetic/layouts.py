"""Random layouts of each land-use class, with the main feature at the top, then rotated."""

import math
import random
from collections.abc import Callable, Mapping

from tasks.data.synthetic.world import Plot, Scene, cells

LANDS = ("green grass", "brown soil")
ROOFS = ("red", "blue", "brown")
CAR_COLOURS = ("red", "blue", "white", "yellow")
CROPS = ("green", "yellow", "brown")


def _quarter(rng: random.Random) -> int:
    return rng.randrange(4)


def airport(rng: random.Random) -> Scene:
    """Planes next to a runway, with or without a terminal and cars."""
    plot = Plot(rng, rng.choice(LANDS))
    plot.band("runway", "asphalt", (0, 4, 64, 15))
    plot.dashes(9.5)
    plot.scatter("plane", rng.randint(1, 6), cells((1, 18, 63, 47), 4, 2), ["white"], (0, 1, 2, 3))
    rest = cells((1, 50, 63, 63), 4, 1)
    plot.scatter("terminal", rng.randint(0, 1), rest, ["brown"])
    plot.scatter("car", rng.randint(0, 3), rest, CAR_COLOURS)
    return plot.finish("airport", _quarter(rng))


def harbor(rng: random.Random) -> Scene:
    """Ships in the water, piers and a quay with or without cars."""
    plot = Plot(rng, rng.choice(("blue water", "green water")))
    plot.band("quay", "concrete", (0, 0, 64, 12))
    for x in (18.5, 42.5)[: rng.randint(1, 2)]:
        plot.band("pier", "wood", (x, 12, x + 4, 42))
    columns = [box for left in (1, 23, 47) for box in cells((left, 14, left + 16, 62), 1, 3)]
    plot.scatter("ship", rng.randint(1, 6), columns, ["red"], (0, 1, 2, 3))
    plot.scatter("car", rng.randint(0, 3), cells((1, 2, 63, 10), 5, 1), CAR_COLOURS)
    return plot.finish("harbor", _quarter(rng))


def storage_tanks(rng: random.Random) -> Scene:
    """Round tanks of one colour next to a road with or without cars."""
    plot = Plot(rng, rng.choice(LANDS))
    plot.band("road", "asphalt", (0, 3, 64, 13))
    plot.scatter("tank", rng.randint(1, 6), cells((2, 16, 62, 62), 4, 3), ["white", "red"])
    plot.scatter("car", rng.randint(0, 3), cells((1, 4, 63, 12), 5, 1), CAR_COLOURS)
    return plot.finish("storage tanks", _quarter(rng))


def farmland(rng: random.Random) -> Scene:
    """Fields of several crops, with or without a road, houses and trees."""
    plot = Plot(rng, "brown soil")
    top = rng.choice((0, 11))
    if top:
        plot.band("road", "asphalt", (0, 2, 64, 10))
    columns, rows = rng.choice(((2, 1), (3, 1), (2, 2), (3, 2)))
    used = set()
    for left, upper, right, lower in cells((0, top, 64, 64), columns, rows):
        crop = rng.choice(CROPS)
        used.add(crop)
        plot.band("field", f"{crop} crop", (left + 0.9, upper + 0.9, right - 0.9, lower - 0.9))
    free = cells((1, top + 1, 63, 63), 4, 4)
    plot.scatter("house", rng.randint(0, 2), free, ["red"])
    plot.scatter("tree", rng.randint(0, 3), free, ["dark green"])
    crops = [crop for crop in CROPS if crop in used]
    return plot.finish("farmland", _quarter(rng), {"crops": " and ".join(crops)})


def river(rng: random.Random) -> Scene:
    """A winding river with or without bridges and houses, and with trees on its banks."""
    plot = Plot(rng, rng.choice(LANDS))
    phase, swing, half = rng.uniform(0, 6.28), rng.uniform(1, 3), rng.uniform(6, 7.5)
    middle = [(x, 32 + swing * math.sin(phase + x / 9)) for x in range(0, 65, 4)]
    banks = [(x, y - half) for x, y in middle] + [(x, y + half) for x, y in reversed(middle)]
    water = rng.choice(("blue", "green"))
    plot.area("water", f"{water} water", banks)
    for x in rng.sample((13, 32, 51), rng.choice((0, 1, 1, 2))):
        plot.band("bridge", "concrete", (x - 3, 19, x + 3, 45))
    free = cells((1, 1, 63, 18), 5, 2) + cells((1, 46, 63, 63), 5, 2)
    plot.scatter("tree", rng.randint(1, 5), free, ["dark green"])
    plot.scatter("house", rng.randint(0, 2), free, ["red"])
    return plot.finish("river", rng.randrange(2), {"water": water})


def dense_residential(rng: random.Random) -> Scene:
    """Many houses with roofs of one colour along one or two roads, with or without cars."""
    plot = Plot(rng, rng.choice(LANDS))
    plot.band("road", "asphalt", (0, 28, 64, 36))
    crossing = rng.random() < 0.5
    if crossing:
        plot.band("road", "asphalt", (28, 0, 36, 64))
    spans = ((1, 27), (37, 63)) if crossing else ((1, 32), (32, 63))
    free = [box for a, b in spans for c, d in ((1, 27), (37, 63)) for box in cells((a, c, b, d), 2, 2)]
    plot.scatter("house", rng.randint(10, 15), free, ROOFS)
    plot.scatter("car", rng.randint(0, 3), cells((0, 29, 27, 35), 3, 1) + cells((37, 29, 64, 35), 3, 1), CAR_COLOURS)
    return plot.finish("dense residential", _quarter(rng))


def sparse_residential(rng: random.Random) -> Scene:
    """A few houses among trees, with or without a road and a pool."""
    plot = Plot(rng, rng.choice(LANDS))
    top = rng.choice((0, 12))
    if top:
        plot.band("road", "asphalt", (0, 2, 64, 11))
    free = cells((1, top + 1, 63, 63), 5, 4)
    plot.scatter("house", rng.randint(1, 4), free, ROOFS)
    plot.scatter("pool", rng.randint(0, 1), free, ["cyan"])
    plot.scatter("tree", rng.randint(1, 6), free, ["dark green"])
    return plot.finish("sparse residential", _quarter(rng))


def forest(rng: random.Random) -> Scene:
    """Tree crowns everywhere, with or without a road, a pond and a house."""
    plot = Plot(rng, rng.choice(("dark green wood", "light green wood")))
    plot.band("wood", plot.ground, (0, 0, 64, 64))
    feature = rng.choice(("road", "pond", "none"))
    taken = [(0.0, 24.0, 64.0, 32.0)] if feature == "road" else []
    if taken:
        plot.band("road", "sand path", (0, 25, 64, 31))
    free = cells((0, 32, 64, 64), 4, 2)
    plot.scatter("pond", int(feature == "pond"), free, ["blue"])
    plot.scatter("house", rng.randint(0, 1), free, ["red"])
    taken += [thing.box for thing in plot.things]
    crowns = [cell for cell in cells((0, 0, 64, 64), 8, 8) if not any(_overlap(cell, box) for box in taken)]
    plot.scatter("crown", len(crowns), crowns, [plot.ground])
    return plot.finish("forest", _quarter(rng), {"feature": feature})


def beach(rng: random.Random) -> Scene:
    """Sand next to the sea, with or without umbrellas, ships and trees."""
    plot = Plot(rng, rng.choice(("yellow sand", "white sand")))
    phase = rng.uniform(0, 6.28)
    for colour, depth in (("white", 29.5), ("blue water", 27)):
        shore = [(x, depth + 1.5 * math.sin(phase + x / 7)) for x in range(0, 65, 4)]
        plot.area("water" if colour != "white" else "", colour, [(0, 0), (64, 0), *reversed(shore)])
    plot.scatter("ship", rng.randint(0, 3), cells((1, 2, 63, 24), 4, 2), ["red"])
    plot.scatter("umbrella", rng.randint(0, 5), cells((1, 33, 63, 53), 5, 2), ["pink"])
    plot.scatter("tree", rng.randint(0, 3), cells((1, 54, 63, 63), 5, 1), ["dark green"])
    return plot.finish("beach", _quarter(rng))


def parking_lot(rng: random.Random) -> Scene:
    """Cars of one colour in two rows of slots, next to a lawn with or without trees."""
    plot = Plot(rng, rng.choice(("gray ground", "black ground")))
    plot.band("lawn", "green grass", (0, 0, 64, 11))
    for upper in (15, 46):
        for x in range(2, 64, 10):
            plot.band("", "white", (x - 0.5, upper, x + 0.5, upper + 14))
    slots = cells((2, 16, 62, 28), 6, 1) + cells((2, 47, 62, 59), 6, 1)
    plot.scatter("car", rng.randint(1, 8), slots, CAR_COLOURS, (1, 3))
    plot.scatter("tree", rng.randint(0, 4), cells((1, 1, 63, 10), 6, 1), ["dark green"])
    return plot.finish("parking lot", _quarter(rng))


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


LAYOUTS: Mapping[str, Callable[[random.Random], Scene]] = {
    "airport": airport,
    "harbor": harbor,
    "storage tanks": storage_tanks,
    "farmland": farmland,
    "river": river,
    "dense residential": dense_residential,
    "sparse residential": sparse_residential,
    "forest": forest,
    "beach": beach,
    "parking lot": parking_lot,
}
