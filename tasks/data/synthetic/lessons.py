"""Simple lessons about scenes, for pre-training the toy base model, in words that no source uses.

A lesson is a dialogue of many short questions about one scene, without the captions and the question forms of the four
sources. Beside its text are words for what each square of the image shows: from them the toy learns to see, in far less
time than from the text. The toy model starts from random weights and knows no language: some lessons repeat words of
overhead scenes, so that tuning has words to choose from, as with a real base model.
"""

import random
from collections.abc import Callable, Mapping

from tasks.data.synthetic.captions import PHRASES, main_and_other, number_word, plural
from tasks.data.synthetic.questions import Exchange
from tasks.data.synthetic.world import SIDE, Patch, Scene, Thing

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


NAMES: Mapping[str, str] = {
    "airport": "an airport",
    "harbor": "a harbor",
    "storage tanks": "a tank farm",
    "farmland": "a piece of farmland",
    "river": "a river",
    "dense residential": "a dense residential area",
    "sparse residential": "a sparse residential area",
    "forest": "a forest",
    "beach": "a beach",
    "parking lot": "a parking lot",
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
IN_WORDS = ("Count the {}s in words.", "How many {}s, in words?")
# The share of the lessons that only repeat words.
REPETITIONS = 0.03
# Squares of an image per row and per column: as many as the toy LLaVA's tower has patches.
SQUARES = 8
PROMPTS = ("Describe the image.", "Name this place.", "What does this image represent?")


def name_of_place(scene: Scene, rng: random.Random) -> Exchange:
    """A prompt for the class alone."""
    return rng.choice(PROMPTS), NAMES[scene.land_use]


def sights(scene: Scene, rng: random.Random, number: int = 2) -> list[Exchange]:
    """Questions whether objects are visible, half of them about objects that are absent."""
    there = [names for names, kinds in THINGS.items() if scene.count(*kinds)]
    absent = [names for names in THINGS if names not in there]
    asked = rng.sample(there, min(number // 2, len(there))) + rng.sample(absent, number // 2)
    return [
        (rng.choice(SIGHTS).format(rng.choice(names)), "yes" if scene.count(*THINGS[names]) else "no")
        for names in asked
    ]


def tallies(scene: Scene, rng: random.Random, absent: int = 2) -> list[Exchange]:
    """Questions for the numbers of all objects but the trees of a forest, and of some that are absent.

    About half of the answers are words.
    """
    counts = {
        names: scene.count(*kinds) for names, kinds in THINGS.items() if names != ("tree",) or not scene.count("crown")
    }
    there = [names for names, count in counts.items() if count]
    asked = there + rng.sample([names for names in counts if names not in there], absent)
    answers: dict[tuple[str, ...], Callable[[int], str]] = {TALLIES: str, IN_WORDS: number_word}
    return [
        (rng.choice(forms).format(rng.choice(names)), answers[forms](counts[names]))
        for names, forms in zip(asked, rng.choices((TALLIES, IN_WORDS), k=len(asked)), strict=True)
    ]


def facts(scene: Scene) -> list[Exchange]:
    """Prompts for the phrases of a caption: subject, location, setting, and other objects."""
    phrases = PHRASES[scene.land_use](scene)
    return [
        ("Say what is there.", phrases.subject),
        ("Say where it lies.", phrases.where),
        ("Say in what setting.", phrases.setting),
        ("Say what else is there.", phrases.extra),
    ]


def square_words(scene: Scene) -> list[str]:
    """The words for what each square of the image shows, row by row, separated by spaces.

    A square shows the object whose centre is in it, or else the ground.
    """
    step = SIDE / SQUARES
    centred = {(int(thing.y / step), int(thing.x / step)): _words_of(scene, thing) for thing in scene.things}
    squares = [(row, column) for row in range(SQUARES) for column in range(SQUARES)]
    return [centred.get((y, x)) or _words_at(scene, (x + 0.5) * step, (y + 0.5) * step) for y, x in squares]


def _words_at(scene: Scene, x: float, y: float) -> str:
    areas = [area for area in scene.patches if area.kind and area.covers(x, y)]
    # drawn in this order, the last one on top
    return f"{_words_of(scene, areas[-1])} {scene.side}" if areas else scene.ground


def _words_of(scene: Scene, shown: Thing | Patch) -> str:
    """Colour, kind, all names of the kind, their number, and its part in a caption: what is there, or what else."""
    names = next((names for names, kinds in THINGS.items() if shown.kind in kinds), (shown.kind,))
    number = scene.count(*THINGS.get(names, names))
    words = [shown.colour, shown.kind, *names, *(plural(name) for name in names), number_word(number)]
    if shown.kind != "crown":
        words.append(str(number))
    main, other = main_and_other(scene)
    return " ".join([*words, *["there"] * (shown.kind == main), *["else"] * (shown.kind == other)])


def repetition(rng: random.Random, number: int = 10) -> list[Exchange]:
    """A prompt to repeat some words, which does not depend on the image."""
    words = " ".join(rng.choices(WORDS, k=number))
    return [(f"Say these words: {words}", words)]


def lesson(scene: Scene, rng: random.Random) -> list[Exchange]:
    """Words to repeat, or shuffled questions about one image: the class, visible objects, counts and facts.

    There are many to an image, since each answer teaches the model to look up a word of the question in the image.
    """
    if rng.random() < REPETITIONS:
        return repetition(rng)
    exchanges = [name_of_place(scene, rng), *sights(scene, rng), *tallies(scene, rng), *facts(scene)]
    rng.shuffle(exchanges)
    return exchanges
