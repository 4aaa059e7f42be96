"""Words of overhead scenes: what a language model knows before it sees its first image.

The toy base model is drawn at random and knows no language; it repeats these words in its lessons, so that
tuning has words to choose from, as it has with a real base model.
"""

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
