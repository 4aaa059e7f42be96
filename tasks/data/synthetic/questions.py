"""Questions with correct answers about a synthetic scene, in the style of RSVQA-LR and RSIVQA-DOTA."""

import random
from collections.abc import Mapping

from tasks.data.synthetic.world import Scene

Exchange = tuple[str, str]

URBAN = ("dense residential", "parking lot")
# Names in questions, and the kinds of objects that they cover. Crowns of a forest are not countable.
LOW_RESOLUTION: Mapping[str, tuple[str, ...]] = {
    "building": ("house", "terminal"),
    "road": ("road",),
    "water area": ("water", "pond", "pool"),
    "farmland": ("field",),
    "forest": ("wood",),
    "tree": ("tree",),
    "car": ("car",),
}
DETECTED: Mapping[str, tuple[str, ...]] = {
    "plane": ("plane",),
    "ship": ("ship",),
    "storage tank": ("tank",),
    "small vehicle": ("car",),
    "bridge": ("bridge",),
    "swimming pool": ("pool",),
    "harbor": ("quay",),
    "house": ("house", "terminal"),
    "tree": ("tree",),
}


def counts_of(scene: Scene, names: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Count the objects of each name, without those that cannot be counted in this scene."""
    counts = {name: scene.count(*kinds) for name, kinds in names.items()}
    if scene.land_use == "forest":
        counts.pop("tree", None)
    return counts


def _balanced(counts: Mapping[str, int], each: int, rng: random.Random) -> list[str]:
    """Up to `each` names of objects that are present and about as many of absent ones."""
    there = [name for name, count in counts.items() if count]
    absent = [name for name, count in counts.items() if not count]
    shown = rng.sample(there, min(each, len(there)))
    return shown + rng.sample(absent, min(len(shown) + 1, each, len(absent)))


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def low_resolution(scene: Scene, rng: random.Random) -> list[Exchange]:
    """About 16 shuffled questions: rural or urban, presence, counts and comparisons."""
    counts = counts_of(scene, LOW_RESOLUTION)
    presence = [_presence(name, counts[name], rng) for name in _balanced(counts, 3, rng)]
    numbers = [_number(name, counts[name], rng) for name in _countable(counts, 4, rng)]
    comparisons = dict(_comparison(*_pair(counts, rng), counts, rng) for _ in range(6))
    setting = "urban" if scene.land_use in URBAN else "rural"
    exchanges = [("Is it a rural or an urban area", setting), *presence, *numbers, *comparisons.items()]
    # shuffled, since each question is later asked on its own
    rng.shuffle(exchanges)
    return exchanges


def _countable(counts: Mapping[str, int], most: int, rng: random.Random) -> list[str]:
    """Up to `most` names to count; one of an absent object where few are present, or with probability 0.4."""
    there = [name for name, count in counts.items() if count]
    absent = [name for name, count in counts.items() if not count]
    chosen = rng.sample(there, min(most, len(there)))
    if len(chosen) < 2 or rng.random() < 0.4:
        chosen = [*chosen[: most - 1], rng.choice(absent)]
    return chosen


def _pair(counts: Mapping[str, int], rng: random.Random) -> tuple[str, str]:
    """Two names, at least one of a present object."""
    one = rng.choice([name for name, count in counts.items() if count])
    return one, rng.choice([name for name in counts if name != one])


def _presence(name: str, count: int, rng: random.Random) -> Exchange:
    form = rng.choice(("Is there {}?", "Is {} present?"))
    return form.format(_article(name)), "yes" if count else "no"


def _number(name: str, count: int, rng: random.Random) -> Exchange:
    forms = ("How many {}s are there?", "What is the number of {}s?", "What is the amount of {}s?")
    return rng.choice(forms).format(name), str(count)


def _comparison(one: str, other: str, counts: Mapping[str, int], rng: random.Random) -> Exchange:
    kind = rng.choice(("more", "less", "equal"))
    if kind == "equal":
        question = f"Is the number of {one}s equal to the number of {other}s?"
        return question, "yes" if counts[one] == counts[other] else "no"
    # true as often as false where the counts differ, so that guessing from the words alone does not help
    if (counts[one] > counts[other]) != ((kind == "more") == (rng.random() < 0.5)):
        one, other = other, one
    holds = counts[one] > counts[other] if kind == "more" else counts[one] < counts[other]
    return f"Are there {kind} {one}s than {other}s?", "yes" if holds else "no"


def detected(scene: Scene, rng: random.Random) -> list[Exchange]:
    """About 10 shuffled questions: counts of some kinds, one of which may be absent, and presence."""
    counts = counts_of(scene, DETECTED)
    countable = {name: count for name, count in counts.items() if name != "harbor"}
    exchanges = [
        (f"How many {name}s are there in this picture?", str(counts[name])) for name in _countable(countable, 3, rng)
    ]
    for name in _balanced(counts, 4, rng):
        exchanges.append((f"Does this picture contain {name}?", "yes" if counts[name] else "no"))
    rng.shuffle(exchanges)
    return exchanges
