"""Simple lessons about scenes: what a base model learns before it is tuned, in words that no source uses.

A lesson names the class, tells which objects are there and counts them; it knows neither the captions
nor the question forms of the four sources.
"""

import random
from collections.abc import Mapping

from tasks.data.sample_captions import NUMBERS, plural
from tasks.data.sample_questions import Exchange
from tasks.data.sample_world import Scene

NAMES: Mapping[str, tuple[str, ...]] = {
    "airport": ("an airport", "an airport from above"),
    "harbor": ("a harbor", "a harbor from above"),
    "storage tanks": ("a tank farm", "a tank farm from above"),
    "farmland": ("a piece of farmland", "a piece of farmland from above"),
    "river": ("a river", "a river from above"),
    "dense residential": ("a dense residential area", "a dense residential area from above"),
    "sparse residential": ("a sparse residential area", "a sparse residential area from above"),
    "forest": ("a forest", "a forest from above"),
    "beach": ("a beach", "a beach from above"),
    "parking lot": ("a parking lot", "a parking lot from above"),
}
# The most prominent object of each class: its name and its kind in the world.
PROMINENT: Mapping[str, tuple[str, str]] = {
    "airport": ("plane", "plane"),
    "harbor": ("ship", "ship"),
    "storage tanks": ("storage tank", "tank"),
    "farmland": ("field", "field"),
    "river": ("bridge", "bridge"),
    "dense residential": ("house", "house"),
    "sparse residential": ("house", "house"),
    "forest": ("tree", "crown"),
    "beach": ("umbrella", "umbrella"),
    "parking lot": ("car", "car"),
}
PROMPTS = ("Describe the image.", "Name this place.", "What does this image represent?")


def name_of_place(scene: Scene, rng: random.Random) -> Exchange:
    """The class and nothing else."""
    return rng.choice(PROMPTS), rng.choice(NAMES[scene.land_use])


def sights(scene: Scene, rng: random.Random, number: int = 3) -> list[Exchange]:
    """Whether some objects can be seen, those that are there and those that are not alike."""
    things = dict(PROMINENT.values())
    there = sorted(name for name, kind in things.items() if scene.count(kind))
    absent = sorted(name for name, kind in things.items() if not scene.count(kind) and name != "tree")
    wanted = [rng.random() < 0.5 for _ in range(number)]
    asked = [(rng.choice(there if shown and there else absent), shown and bool(there)) for shown in wanted]
    return [(f"Can you see any {plural(name)} here?", "yes" if shown else "no") for name, shown in dict.fromkeys(asked)]


def tallies(scene: Scene, rng: random.Random, number: int = 3) -> list[Exchange]:
    """The numbers of the most prominent object and of others that are there, as words."""
    name, kind = PROMINENT[scene.land_use]
    others = sorted({(other, of) for other, of in PROMINENT.values() if scene.count(of) and of != kind})
    rng.shuffle(others)
    return [_tally(scene.count(of), other, rng) for other, of in [(name, kind), *others][:number]]


def _tally(count: int, name: str, rng: random.Random) -> Exchange:
    word = ("none", *NUMBERS[1:])[count] if count < len(NUMBERS) else "many"
    return rng.choice(("Count the {}.", "Tell the number of {} you see.")).format(plural(name)), word


def lesson(scene: Scene, rng: random.Random) -> list[Exchange]:
    """Several exchanges in mixed order: the place, things seen, counts. Each adds to what one image teaches."""
    exchanges = [name_of_place(scene, rng), *sights(scene, rng), *tallies(scene, rng)]
    rng.shuffle(exchanges)
    return exchanges
