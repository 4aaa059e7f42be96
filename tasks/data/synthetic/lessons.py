"""Simple lessons about scenes: what a base model learns before it is tuned, in words that no source uses.

A lesson names the class, tells which objects are there and counts them; it knows neither the captions
nor the question forms of the four sources.
"""

import random
from collections.abc import Mapping

from tasks.data.synthetic.captions import PHRASES
from tasks.data.synthetic.questions import Exchange
from tasks.data.synthetic.world import Scene

WORDS = tuple(
    # as text: a list of 350 quoted words would be read by nobody
    """
    a an the this that these those it its one two three four five six seven eight nine ten many several some few
    lots numerous no none any all both each other another more less than equal same different number amount count
    0 1 2 3 4 5 6 7 8 9 10 11 12 yes no true false rural urban area areas place scene picture image photo view
    airport airports plane planes airplane airplanes aircraft runway runways terminal terminals apron harbor harbors
    port ports ship ships boat boats quay pier piers dock docked sea water waters ocean waves river rivers bank banks
    lake pond ponds bridge bridges stream beach beaches sand sandy coast shore umbrella umbrellas forest forests tree
    trees wood woods wooden meadow meadows grass grassland lawn lawns farmland farmlands field fields crop crops farm
    ground soil land bareland desert mountain mountains hill rock rocks island road roads street streets path highway
    viaduct railway station track tracks rail train cars car vehicle vehicles small large truck parking lot lots
    marked garage residential house houses building buildings home roof roofs commercial industrial factory factories
    plant storage tank tanks oil school church center square park playground stadium football baseball basketball
    tennis court courts diamond pool pools swimming resort garden golf course town city village dense sparse medium
    crowded scattered arranged neatly lined rows row parked moored standing lying located surrounded covered divided
    crossed separated connected made built planted next near beside between around along across behind above below
    under over through with without and or in on at of to by from into for as is are was be has have there here where
    what which how who do does can see seen contain contains present shown represent describe name count tell left
    right top bottom middle center corner side sides edge red green blue white black gray brown yellow orange pink
    dark light bright teal golden big little long short wide narrow round circular rectangular square curved straight
    irregular old new clean empty full busy quiet calm clear beautiful
    """.split()  # noqa: SIM905
)


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
# What is asked about: names that mean the same, and the kinds of the world that they cover.
THINGS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("plane", "airplane"): ("plane",),
    ("ship", "boat"): ("ship",),
    ("storage tank", "tank"): ("tank",),
    ("field", "farmland"): ("field",),
    ("bridge",): ("bridge",),
    ("house", "building"): ("house", "terminal"),
    ("tree",): ("tree", "crown"),
    ("umbrella",): ("umbrella",),
    ("car", "vehicle"): ("car",),
    ("road",): ("road",),
    ("quay", "harbor"): ("quay",),
    ("pool", "swimming pool"): ("pool",),
    ("water area",): ("water", "pond", "pool"),
    ("forest",): ("wood",),
}
SIGHTS = ("Can you see any {}s here?", "Look for {}s.", "Any {}s?", "Are {}s visible here?", "Is a {} visible here?")
TALLIES = ("Count the {}s.", "Tell the number of {}s you see.", "How many {}s?", "Number of {}s?")
# Share of lessons that only repeat words: more of them would crowd out what is to be seen.
REPETITIONS = 0.06
PROMPTS = ("Describe the image.", "Name this place.", "What does this image represent?")


def name_of_place(scene: Scene, rng: random.Random) -> Exchange:
    """The class and nothing else."""
    return rng.choice(PROMPTS), rng.choice(NAMES[scene.land_use])


def sights(scene: Scene, rng: random.Random, number: int = 4) -> list[Exchange]:
    """Whether some objects can be seen, those that are there and those that are not alike."""
    there = [names for names, kinds in THINGS.items() if scene.count(*kinds)]
    absent = [names for names in THINGS if names not in there]
    asked = rng.sample(there, min(number // 2, len(there))) + rng.sample(absent, number // 2)
    return [
        (rng.choice(SIGHTS).format(rng.choice(names)), "yes" if scene.count(*THINGS[names]) else "no")
        for names in asked
    ]


def tallies(scene: Scene, rng: random.Random, number: int = 3) -> list[Exchange]:
    """The numbers of some objects, most of them there; a forest's trees are too many to count."""
    counts = {
        names: scene.count(*kinds) for names, kinds in THINGS.items() if names != ("tree",) or not scene.count("crown")
    }
    there = [names for names, count in counts.items() if count]
    absent = [names for names, count in counts.items() if not count]
    asked = [*rng.sample(there, min(number, len(there))), rng.choice(absent)][:number]
    return [(rng.choice(TALLIES).format(rng.choice(names)), str(counts[names])) for names in asked]


def facts(scene: Scene, rng: random.Random, number: int = 2) -> list[Exchange]:
    """What is there, where it lies and what else there is, in pieces of which no caption is made of one alone."""
    phrases = PHRASES[scene.land_use](scene)
    asked = {
        "Say what is there.": phrases.subject,
        "Say where it lies.": phrases.where,
        "Say in what setting.": phrases.setting,
        "Say what else is there.": phrases.extra,
    }
    return rng.sample(list(asked.items()), number)


def repetition(rng: random.Random, number: int = 10) -> list[Exchange]:
    """Some words to be said again: language, which the image has no part in."""
    words = " ".join(rng.choices(WORDS, k=number))
    return [(f"Say these words: {words}", words)]


def lesson(scene: Scene, rng: random.Random) -> list[Exchange]:
    """Several exchanges in mixed order: the place, things seen, counts, facts. Each adds to what one image teaches."""
    if rng.random() < REPETITIONS:
        return repetition(rng)
    exchanges = [name_of_place(scene, rng), *sights(scene, rng), *tallies(scene, rng), *facts(scene, rng)]
    rng.shuffle(exchanges)
    return exchanges
