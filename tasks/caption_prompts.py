"""Which prompts ask for a caption, told by their words where nothing else says it: a guess, and counted as one.

What LLaVA, GeoChat, VRSBench and the captioning sets ask in, with its politeness: to describe the image as a whole,
or to give a caption, a summary and the like. Who asks for a number, a place, a colour or a class asks a question.
"""

import re
from functools import lru_cache

from tasks.prompt_text import VIEW, bare_prompt

POLITE = re.compile(
    r"(?:please|kindly|now|then|hi|hello|hey|ok|okay|so|can you|could you|would you mind|do you mind|would you|will you"
    r"|be so kind(?: as)? to"
    r"|how would you|how do you|i(?: woul|')d like you to|i want you to|i need you to|you are asked to"
    r"|your (?:task|job) is to|try to|help (?:me|us)(?: to)?|let us|let's|\w{3,}ly"
    r"|in (?:short|brief|detail|general|your own words|plain words))\b[\s,:]*"
    # "in one sentence, ...", "use a few words to ..."
    r"|(?:in|with|using|use|within)\b(?: [\w-]+){0,5}? (?:sentence|word|phrase|paragraph|line)s?\b[\s,:]*(?:to )?"
)
NAMED = (
    r"(?:alt[- ]?text|captions?|descriptions?|descriptors?|summary|summaries|summari[sz]ation|explanation"
    r"|interpretation|account|narrative|narration|introduction|depiction|portrayal|rundown|analysis|overview|sentences?"
    r"|paragraph|details?|story|title|headline|outline|report|characteri[sz]ation|synopsis|illustration"
    r"|impression|breakdown|commentary|gist|topic)"
)
# of one thing in the image, and not of the image
ASKED = (
    r"(?:number|count|amount|quantity|locations?|positions?|coordinates?|bounding box(?:es)?|colou?rs?|shapes?|sizes?"
    r"|types?|kinds?|class(?:es)?|categor(?:y|ies)|labels?|names?|areas?|percentage|proportion|directions?|orientation"
    r"|relations?(?:hips?)?|distance|reasons?|date|time|word)"
)
GIVE = (
    r"(?:giv(?:e|ing)|provid(?:e|ing)|writ(?:e|ing)|generat(?:e|ing)|creat(?:e|ing)|offer(?:ing)?|shar(?:e|ing)|present"
    r"|relay|render|compos(?:e|ing)|produc(?:e|ing)|mak(?:e|ing)|formulate|supply|craft|draft|come up with"
    r"|add|construct|deliver|output|return|suggest|show|put|prepare|tell|(?:can|could|may) (?:i|we|you) (?:have|get)"
    r"|i(?:'d| would)? (?:need|want|like))\b"
)
DESCRIBE = r"(?:describ(?:e|ing)|summari[sz](?:e|ing)|caption(?:ing)?|portray|narrat(?:e|ing)|depict|characteri[sz]e)\b"
LOOK = (
    r"(?:illustrate|outline|sketch|recount|walk (?:me |us )?through|break down|elaborate|clarify|interpret|explain"
    r"|explore|analy[sz]e|examine|inspect|observe|(?:take a )?look(?: \w+ly)? at|detail|discuss|talk about|convey"
    r"|express|comment on)\b"
)
DECIDES = r"\b(?:whether|if|how|which|why|where|determine|answer|choose|select|classify|locate|count|identify)\b"
IS = r"(?:'s| is| are| was)"
SHOWS = r"(?:represent|show|depict|contain|present|portray|display|illustrate|capture|convey|look like|describe)"
SHOWN = (
    r"(?:shown|depicted|represented|portrayed|displayed|presented|captured|pictured|happening|going on|visible|seen)"
)
# a place in the image: what is asked is of that place
REGION = re.compile(r"[{<\[(]\s*<?\s*\d|<(?:p|box|ref|bbox|region)>")
# behind these all may be named that a caption is to speak of
REST = r"(?:,|\b(?:including|focus|with attention|paying|especially|such as)\b)"
THIS = rf"(?:this|the|that|these) (?:(?!of )[\w-]+ ){{0,3}}?{VIEW}"

CAPTION_PROMPTS = tuple(
    map(
        re.compile,
        (
            r"(?:(?:identify|observe|view|study|recognize) (?:(?:the|this|that) \w+ )?and )?"
            rf"{DESCRIBE}(?!(?:(?!{REST}).)*?\b{ASKED} of\b)(?! (?:the |their |its )?{ASKED}\b)"
            r"(?! (?:where|how|why|which|whether)\b)",
            rf"{LOOK}(?=.*\b{VIEW}\b)(?!.*{DECIDES})(?!.*?\b{ASKED} of\b)",
            # whichever is named first: a description of the number of ..., but the number of sentences
            rf"{GIVE}(?!.*\banswer\b)(?:(?!\b{ASKED}\b).)*?\b{NAMED}\b",
            r"(?:tell|say|state|report|i (?:want|would like) to know)\b.{0,20}?"
            rf"\b(?:about (?:the contents? of )?{THIS}|what (?:you (?:see|observe|notice)|{THIS} (?:shows?|depicts?)"
            rf"|(?:is|are) (?:in|{SHOWN} in) {THIS})\b|what's (?:in|{SHOWN} in) {THIS}|what is {SHOWN}\W*$)",
            r"(?!select|choose|pick|which|what|how|is|are|does)(?:an? |the )?(?:[\w-]+ ){0,3}"
            rf"(?:caption|description)(?: (?:of|for) {THIS})?(?:,? please)?\s*[:.]?\s*$",
            rf"introduc(?:e|ing) {THIS}",
            rf"(?:turn|translate|convert|put|transform|render) {THIS} (?:in|into|to) (?:words|text)\b",
            rf"{THIS} (?:shows?|depicts?)\W*$",
            r"what (?:caption (?:fits|suits|would)|(?:would|could|is)(?: be)? (?:an? |the )?(?:[\w-]+ )?caption)\b"
            r"(?!.*\b(?:following|options?|choices?)\b)",
            rf"what information (?:can|could|do)\b.*\b{THIS}\W*$",
            rf"(?:an? )?(?:[\w-]+ )?{VIEW} (?:of|that shows|showing)\s*:?\s*$",
            rf"what (?:does|do|did) (?:it|{THIS}) {SHOWS}\b",
            rf"what{IS} the (?:main |key )?(?:topic|subject|content|gist|idea|feature)s? of {THIS}\b",
            rf"what{IS} {SHOWN}(?: (?:in|on|by) {THIS})?\s*(?:[?.]|$)",
            rf"what{IS}(?: there)? (?:in|on) {THIS}\s*(?:\?|$)",
            rf"what{IS} {THIS} (?:about|of|showing|depicting)\b",
            r"what (?:can|do|could) (?:you|we|i|one|be) (?:see|seen|observe|observed|notice|tell|say)\b"
            rf"(?: here| (?:in|on|from|about|of) {THIS})?\W*$",
            r"how (?:can|could|would|should|may)\b.*\b(?:described|summari[sz]ed|captioned)\b",
        ),
    )
)


# a data set asks the same again and again
@lru_cache(maxsize=10_000)
def asks_for_caption(prompt: str) -> bool:
    """Whether a prompt's words ask for a caption of the image."""
    text = bare_prompt(prompt)
    if REGION.search(text):
        return False
    while found := POLITE.match(text):
        text = text[found.end() :]
    return any(pattern.match(text) for pattern in CAPTION_PROMPTS)
