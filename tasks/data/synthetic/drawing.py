"""Draw a synthetic scene: larger than requested, then reduced, so that edges are smooth."""

from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageDraw

from tasks.data.synthetic.world import SIDE, TEXTURE_SIDE, Box, Patch, Scene, Thing

Colour = tuple[int, int, int]

PALETTE: Mapping[str, Colour] = {
    "green grass": (132, 168, 96),
    "brown soil": (186, 152, 112),
    "asphalt": (98, 100, 106),
    "concrete": (186, 184, 178),
    "wood": (140, 100, 62),
    "blue water": (56, 108, 172),
    "green water": (58, 134, 124),
    "yellow sand": (232, 206, 138),
    "white sand": (240, 234, 218),
    "sand path": (206, 182, 134),
    "gray ground": (150, 152, 156),
    "black ground": (74, 76, 82),
    "dark green wood": (36, 78, 42),
    "light green wood": (104, 140, 52),
    "green crop": (104, 172, 70),
    "yellow crop": (226, 196, 78),
    "brown crop": (140, 100, 66),
    "white": (246, 246, 246),
    "red": (200, 50, 42),
    "blue": (46, 84, 198),
    "yellow": (248, 210, 54),
    "brown": (118, 78, 52),
    "pink": (230, 60, 150),
    "cyan": (84, 208, 228),
    "dark green": (28, 86, 36),
}
SHADOW: Colour = (52, 58, 50)
# factor 4 for smooth edges; large images are smooth enough with 2
FINE_BELOW_PX = 128


def paint(scene: Scene, size: int) -> Image.Image:
    """Draw the scene as an RGB image, `size` pixels wide and high."""
    factor = 4 if size < FINE_BELOW_PX else 2
    image = Image.new("RGB", (size * factor, size * factor), _tinted(PALETTE[scene.ground], scene.tint))
    brush = Brush(image)
    for patch in scene.patches:
        brush.patch(patch)
    image = _textured(image, scene.texture)
    brush = Brush(image)
    for thing in scene.things:
        PAINTERS[thing.kind](brush, thing)
    return image.reduce(factor)


def _tinted(colour: Colour, tint: int) -> Colour:
    red, green, blue = (min(255, max(0, part + tint)) for part in colour)
    return red, green, blue


def _textured(image: Image.Image, texture: bytes) -> Image.Image:
    grain = Image.frombytes("L", (TEXTURE_SIDE, TEXTURE_SIDE), texture)
    grain = grain.resize(image.size, Image.Resampling.BICUBIC).convert("RGB")
    return Image.blend(image, grain, 0.07)


def _darker(colour: Colour, share: float = 0.72) -> Colour:
    red, green, blue = (int(part * share) for part in colour)
    return red, green, blue


class Brush:
    """Draws shapes, given in scene units, on an image of any size."""

    def __init__(self, image: Image.Image):
        self.scale = image.width / SIDE
        self.draw = ImageDraw.Draw(image)

    def patch(self, patch: Patch) -> None:
        """Draw a patch in its colour; a field with its furrows."""
        colour = PALETTE[patch.colour]
        self.polygon([*patch.points], colour)
        if patch.kind == "field":
            xs, ys = [x for x, _ in patch.points], [y for _, y in patch.points]
            left, right, top, bottom = min(xs), max(xs), min(ys), max(ys)
            rows = int((bottom - top) / 4)
            for row in range(rows):
                y = top + 2 + row * 4
                self.rectangle((left, y, right, y + 1), _darker(colour, 0.85))

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Draw a filled polygon."""
        self.draw.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=colour)

    def rectangle(self, box: Box, colour: Colour) -> None:
        """Draw a filled rectangle."""
        left, top, right, bottom = box
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour)

    def ellipse(self, box: Box, colour: Colour) -> None:
        """Draw a filled ellipse."""
        left, top, right, bottom = (edge * self.scale for edge in box)
        self.draw.ellipse((left, top, right, bottom), fill=colour)

    def shape(self, thing: Thing, outline: Sequence[tuple[float, float]], colour: Colour) -> None:
        """Draw a polygon relative to the thing's centre, rotated with it."""
        points = list(outline)
        for _ in range(thing.turns % 4):
            points = [(-y, x) for x, y in points]
        self.polygon([(thing.x + x, thing.y + y) for x, y in points], colour)


def _shrunk(box: Box, by: float) -> Box:
    return (box[0] + by, box[1] + by, box[2] - by, box[3] - by)


def _plane(brush: Brush, thing: Thing) -> None:
    body = [(-1.1, -6), (1.1, -6), (1.1, 6), (-1.1, 6)]
    wings = [(0, -2.8), (6, 1.6), (6, 3.2), (0, 1.6), (-6, 3.2), (-6, 1.6)]
    tail = [(0, 3.4), (2.8, 5.2), (2.8, 6), (-2.8, 6), (-2.8, 5.2)]
    brush.shape(thing, wings, PALETTE[thing.colour])
    brush.shape(thing, tail, PALETTE[thing.colour])
    brush.shape(thing, body, PALETTE[thing.colour])


def _ship(brush: Brush, thing: Thing) -> None:
    brush.shape(thing, [(-6.5, -3), (3, -3), (6.5, 0), (3, 3), (-6.5, 3)], PALETTE[thing.colour])
    brush.shape(thing, [(-5, -1.5), (1.5, -1.5), (1.5, 1.5), (-5, 1.5)], PALETTE["white"])


def _tank(brush: Brush, thing: Thing) -> None:
    brush.ellipse(thing.box, SHADOW)
    brush.ellipse(_shrunk(thing.box, 0.7), PALETTE[thing.colour])
    brush.ellipse(_shrunk(thing.box, 4.3), _darker(PALETTE[thing.colour]))


def _car(brush: Brush, thing: Thing) -> None:
    brush.shape(thing, [(-4, -2.5), (4, -2.5), (4, 2.5), (-4, 2.5)], PALETTE[thing.colour])
    brush.shape(thing, [(0.5, -1.8), (2, -1.8), (2, 1.8), (0.5, 1.8)], SHADOW)


def _house(brush: Brush, thing: Thing) -> None:
    roof = PALETTE[thing.colour]
    brush.rectangle(thing.box, _darker(roof, 0.6))
    left, top, right, bottom = _shrunk(thing.box, 0.5)
    brush.rectangle((left, top, right, (top + bottom) / 2), roof)
    brush.rectangle((left, (top + bottom) / 2, right, bottom), _darker(roof, 0.82))


def _tree(brush: Brush, thing: Thing) -> None:
    left, top, right, bottom = thing.box
    brush.ellipse(thing.box, PALETTE[thing.colour])
    brush.ellipse((left + 1.6, top + 1.2, right - 2.8, bottom - 3.2), (66, 132, 60))


def _crown(brush: Brush, thing: Thing) -> None:
    base = PALETTE[thing.colour]
    brush.ellipse(_shrunk(thing.box, 0.6), _darker(base, 0.78))
    brush.ellipse(_shrunk(thing.box, 2), _tinted(base, 16))


def _umbrella(brush: Brush, thing: Thing) -> None:
    brush.ellipse(thing.box, PALETTE[thing.colour])
    brush.ellipse(_shrunk(thing.box, 2.2), PALETTE["white"])


def _pool(brush: Brush, thing: Thing) -> None:
    brush.rectangle(thing.box, PALETTE["white"])
    brush.rectangle(_shrunk(thing.box, 0.8), PALETTE[thing.colour])


def _pond(brush: Brush, thing: Thing) -> None:
    brush.ellipse(thing.box, PALETTE["blue water"])


PAINTERS: Mapping[str, Callable[[Brush, Thing], None]] = {
    "plane": _plane,
    "ship": _ship,
    "tank": _tank,
    "car": _car,
    "house": _house,
    "terminal": _house,
    "tree": _tree,
    "crown": _crown,
    "umbrella": _umbrella,
    "pool": _pool,
    "pond": _pond,
}
