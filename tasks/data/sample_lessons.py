"""Simple lessons about scenes: what a base model learns before it is tuned, in words that no source uses.

A lesson names the class, tells whether the main object is there and counts it; it knows neither the captions
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


def sight(scene: Scene, rng: random.Random) -> Exchange:
    """Whether one object can be seen: as often one that is there as one that is not."""
    shown = {name: kind for name, kind in PROMINENT.values() if scene.count(kind)}
    absent = {name: kind for name, kind in PROMINENT.values() if not scene.count(kind) and name != "tree"}
    there = rng.random() < 0.5 and bool(shown)
    name = rng.choice(sorted(shown if there else absent))
    return f"Can you see any {plural(name)} here?", "yes" if there else "no"


def tally(scene: Scene, rng: random.Random) -> Exchange:
    """The number of the most prominent object, as a word."""
    name, kind = PROMINENT[scene.land_use]
    number = scene.count(kind)
    word = (("none", *NUMBERS[1:])[number]) if number < len(NUMBERS) else "many"
    return rng.choice(("Count the {}.", "Tell the number of {} you see.")).format(plural(name)), word


def lesson(scene: Scene, rng: random.Random) -> list[Exchange]:
    """One to three exchanges: the place, something seen, a count."""
    parts = [name_of_place(scene, rng), sight(scene, rng), tally(scene, rng)]
    kind = rng.random()
    if kind < 0.3:
        return parts
    return [parts[0]] if kind < 0.6 else [parts[1]] if kind < 0.75 else [parts[2]]
