"""Simple lessons about scenes, for pre-training the toy base model, in words that no source uses.

A lesson names the class, says which objects are present and counts them, without the captions and the question forms of
the four sources. The toy model starts from random weights and knows no language: some lessons repeat words of overhead
scenes, so that tuning has words to choose from, as with a real base model.
"""

import random
from collections.abc import Mapping

from tasks.data.synthetic.captions import PHRASES
from tasks.data.synthetic.questions import Exchange
from tasks.data.synthetic.world import Scene

WORDS = tuple(
    # as text, since a list of 350 quoted words is unreadable
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
# Synonyms in questions, and the kinds of objects that they cover.
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
# Share of lessons that only repeat words; more would displace lessons about images.
REPETITIONS = 0.06
PROMPTS = ("Describe the image.", "Name this place.", "What does this image represent?")


def name_of_place(scene: Scene, rng: random.Random) -> Exchange:
    """A prompt for the class alone."""
    return rng.choice(PROMPTS), rng.choice(NAMES[scene.land_use])


def sights(scene: Scene, rng: random.Random, number: int = 4) -> list[Exchange]:
    """Questions whether objects are visible, half of them about objects that are absent."""
    there = [names for names, kinds in THINGS.items() if scene.count(*kinds)]
    absent = [names for names in THINGS if names not in there]
    asked = rng.sample(there, min(number // 2, len(there))) + rng.sample(absent, number // 2)
    return [
        (rng.choice(SIGHTS).format(rng.choice(names)), "yes" if scene.count(*THINGS[names]) else "no")
        for names in asked
    ]


def tallies(scene: Scene, rng: random.Random, number: int = 3) -> list[Exchange]:
    """Questions for the numbers of objects, most of them present; the trees of a forest are not counted."""
    counts = {
        names: scene.count(*kinds) for names, kinds in THINGS.items() if names != ("tree",) or not scene.count("crown")
    }
    there = [names for names, count in counts.items() if count]
    absent = [names for names, count in counts.items() if not count]
    asked = [*rng.sample(there, min(number, len(there))), rng.choice(absent)][:number]
    return [(rng.choice(TALLIES).format(rng.choice(names)), str(counts[names])) for names in asked]


def facts(scene: Scene, rng: random.Random, number: int = 2) -> list[Exchange]:
    """Prompts for single phrases of a caption: subject, location, setting, and other objects."""
    phrases = PHRASES[scene.land_use](scene)
    asked = {
        "Say what is there.": phrases.subject,
        "Say where it lies.": phrases.where,
        "Say in what setting.": phrases.setting,
        "Say what else is there.": phrases.extra,
    }
    return rng.sample(list(asked.items()), number)


def repetition(rng: random.Random, number: int = 10) -> list[Exchange]:
    """A prompt to repeat some words, which does not depend on the image."""
    words = " ".join(rng.choices(WORDS, k=number))
    return [(f"Say these words: {words}", words)]


def lesson(scene: Scene, rng: random.Random) -> list[Exchange]:
    """Several exchanges about one image, shuffled: the class, visible objects, counts and facts."""
    if rng.random() < REPETITIONS:
        return repetition(rng)
    exchanges = [name_of_place(scene, rng), *sights(scene, rng), *tallies(scene, rng), *facts(scene, rng)]
    rng.shuffle(exchanges)
    return exchanges
