"""Correct captions of a synthetic scene, in the style of the two captioning sources.

Each caption names the class and the objects in the picture: how many, of which colour and where.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tasks.data.synthetic.world import Scene

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PROMPTS = (
    "What does this image represent?",
    "What is the topic of this image?",
    "Provide a description of the image",
)


@dataclass(frozen=True)
class Phrases:
    """The phrases of a scene's captions; `number` is the count of the subject."""

    place: str
    number: int
    noun: str
    where: str
    setting: str
    extra: str

    @property
    def subject(self) -> str:
        """The subject with its number word."""
        return counted(self.number, self.noun)

    @property
    def verb(self) -> str:
        """The verb that agrees with the subject."""
        return "is" if self.number == 1 else "are"

    @property
    def inside(self) -> str:
        """The place with its preposition."""
        return f"{'on' if self.place == 'a beach' else 'in'} {self.place}"


def counted(number: int, noun: str) -> str:
    """A number word and a noun in singular or plural: "no cars", "one car", "six cars", and above six "many cars"."""
    return f"{number_word(number)} {noun if number == 1 else plural(noun)}"


def number_word(number: int) -> str:
    """A number as a word: "no", "one" to "six", and above six "many"."""
    return NUMBERS[number] if number < len(NUMBERS) else "many"


def plural(noun: str) -> str:
    """The plural of a noun."""
    return f"{noun}s"


def at_side(side: str) -> str:
    """A side with its preposition: "at the top", "on the left"."""
    return f"{'at' if side in ('top', 'bottom') else 'on'} the {side}"


def _airport(scene: Scene) -> Phrases:
    where = f"beside a runway {at_side(scene.side)}"
    extra = counted(scene.count("car"), "car")
    return Phrases("an airport", scene.count("plane"), "white plane", where, f"on the {scene.ground}", extra)


def _harbor(scene: Scene) -> Phrases:
    where = f"near a quay {at_side(scene.side)}"
    extra = counted(scene.count("pier"), "wooden pier")
    return Phrases("a harbor", scene.count("ship"), "red ship", where, f"on the {scene.ground}", extra)


def _storage_tanks(scene: Scene) -> Phrases:
    noun = f"{scene.colour_of('tank')} storage tank"
    where = f"beside a road {at_side(scene.side)}"
    extra = counted(scene.count("car"), "car")
    return Phrases("a tank farm", scene.count("tank"), noun, where, f"on the {scene.ground}", extra)


def _farmland(scene: Scene) -> Phrases:
    extra = counted(scene.count("house"), "house")
    setting = f"with {scene.facts['crops']} crops"
    return Phrases("a piece of farmland", scene.count("field"), "field", _by_road(scene), setting, extra)


def _river(scene: Scene) -> Phrases:
    course = "from left to right" if scene.side == "top" else "from top to bottom"
    noun, other = ("bridge", "tree") if scene.count("bridge") else ("tree", "house")
    where = f"{'over' if noun == 'bridge' else 'beside'} the {scene.facts['water']} water {course}"
    extra = counted(scene.count(other), other)
    return Phrases("a river", scene.count(noun), noun, where, f"on the {scene.ground}", extra)


def _dense_residential(scene: Scene) -> Phrases:
    noun = f"{scene.colour_of('house')} house"
    where = f"along {counted(scene.count('road'), 'road')}"
    extra = counted(scene.count("car"), "car")
    place = "a dense residential area"
    return Phrases(place, scene.count("house"), noun, where, f"on the {scene.ground}", extra)


def _sparse_residential(scene: Scene) -> Phrases:
    noun = f"{scene.colour_of('house')} house"
    extra = counted(scene.count("tree"), "tree")
    place = "a sparse residential area"
    return Phrases(place, scene.count("house"), noun, _by_road(scene), f"on the {scene.ground}", extra)


def _forest(scene: Scene) -> Phrases:
    where = {"road": "beside a road", "pond": "around a pond", "none": "without a road"}[scene.facts["feature"]]
    tone = scene.ground.removesuffix(" wood")
    extra = counted(scene.count("house"), "house")
    return Phrases("a forest", scene.count("crown"), f"{tone} tree", where, "close together", extra)


def _beach(scene: Scene) -> Phrases:
    where = f"beside the sea {at_side(scene.side)}"
    extra = counted(scene.count("ship"), "ship")
    number = scene.count("umbrella")
    return Phrases("a beach", number, "pink umbrella", where, f"on the {scene.ground}", extra)


def _parking_lot(scene: Scene) -> Phrases:
    noun = f"{scene.colour_of('car')} car"
    where = f"beside a lawn {at_side(scene.side)}"
    extra = counted(scene.count("tree"), "tree")
    return Phrases("a parking lot", scene.count("car"), noun, where, f"on the {scene.ground}", extra)


def _by_road(scene: Scene) -> str:
    return f"beside a road {at_side(scene.side)}" if scene.count("road") else "without a road"


COUNTED: Mapping[str, tuple[str, str]] = {
    "airport": ("plane", "car"),
    "harbor": ("ship", "pier"),
    "storage tanks": ("tank", "car"),
    "farmland": ("field", "house"),
    "dense residential": ("house", "car"),
    "sparse residential": ("house", "tree"),
    "forest": ("crown", "house"),
    "beach": ("umbrella", "ship"),
    "parking lot": ("car", "tree"),
}
PHRASES: Mapping[str, Callable[[Scene], Phrases]] = {
    "airport": _airport,
    "harbor": _harbor,
    "storage tanks": _storage_tanks,
    "farmland": _farmland,
    "river": _river,
    "dense residential": _dense_residential,
    "sparse residential": _sparse_residential,
    "forest": _forest,
    "beach": _beach,
    "parking lot": _parking_lot,
}


def main_and_other(scene: Scene) -> tuple[str, str]:
    """The kinds that a scene's captions count: of the subject, and of the other objects."""
    if scene.land_use == "river":
        return ("bridge", "tree") if scene.count("bridge") else ("tree", "house")
    return COUNTED[scene.land_use]


def nwpu_captions(scene: Scene, rng: random.Random) -> list[str]:
    """Five captions that start with the place, shuffled."""
    p = PHRASES[scene.land_use](scene)
    captions = [
        f"{p.place} with {p.subject} {p.where}",
        f"there {p.verb} {p.subject} {p.setting} {p.inside}",
        f"{p.place} with {p.subject} and {p.extra}",
        f"there {p.verb} {p.subject} {p.where} {p.inside}",
        f"this is {p.place} with {p.subject} {p.setting}",
    ]
    rng.shuffle(captions)
    return captions


def rsicd_captions(scene: Scene, rng: random.Random) -> list[str]:
    """Five captions that start with the objects, shuffled."""
    p = PHRASES[scene.land_use](scene)
    captions = [
        f"{p.subject} {p.verb} {p.where} {p.inside}",
        f"{p.subject} and {p.extra} are {p.inside}",
        f"{p.subject} {p.setting} {p.verb} {p.where}",
        f"we can see {p.subject} {p.where} and {p.extra}",
        f"{p.subject} {p.verb} {p.setting} {p.inside}",
    ]
    rng.shuffle(captions)
    return captions
