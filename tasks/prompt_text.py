"""The words of a prompt: without the image's placeholder, a tag of the task and what leads in; and what a tag says."""

import re
from functools import lru_cache
from typing import Literal

Task = Literal["captioning", "vqa"]

MARK = "<image>"
# of GeoChat, VRSBench and MiniGPT: [vqa], [caption], [refer], [identify], ...
TAG = re.compile(r"\s*\[\s*([a-z][a-z _-]{0,30}?)\s*\]\s*", re.IGNORECASE)
VIEW = r"(?:image|picture|photo|photograph|scene|view|tile|imagery|snapshot|figure|frame)s?"
LEAD_IN = re.compile(
    r"(?:question|query|q)\s*:\s*"
    r"|(?:please |kindly )?(?:tell (?:me|us)|answer|say)(?: the (?:following )?question)?\s*[:,]\s*"
    r"|(?:based (?:up)?on|according to|judging (?:by|from)|looking at|considering|given|from|in|using|with)\s+"
    r"(?:what (?:you|we) (?:can )?see in )?"
    rf"(?:the |this |that |these |an? )?(?:[\w-]+ ){{0,4}}?{VIEW}(?: (?:above|below|provided|given|shown|here))?"
    # without a comma only before what begins a question: "in the image of a port" leads in nothing by itself
    r"(?:(?: of [\w -]{1,40})?\s*[,:;]\s*"
    r"|\s+(?=(?:is|are|does|do|can|has|have|was|were|how|what|which|where|who|why|please|describe)\b))"
)
# what a task is called, in tags and in fields of records
CAPTIONING_NAMES = re.compile(r"caption|descri|summar")
VQA_NAMES = re.compile(
    r"\bv?qa\b|question|answer|presence|exist|count(?!r)|quantity|compar|\bcomp\b|rural|urban|scene|classif|categor|class\b"
    r"|refer|detect|identi|locali[sz]|position|object|area|colou?r|shape|size|direction|reason|yes no"
)


def bare_prompt(text: str) -> str:
    """A prompt's words in lower case, without placeholder, tag and lead-in, such as "based on the image,"."""
    text = TAG.sub("", text.replace(MARK, "").strip(), count=1) if "[" in text else text.replace(MARK, "")
    text = text.strip().lower()
    found = LEAD_IN.match(text)
    return text[found.end() :] if found else text


def tag_of(text: str) -> str | None:
    """The tag that a prompt begins with, before or behind the image's placeholder, or None."""
    if "[" not in text:
        return None
    found = TAG.match(text.replace(MARK, ""))
    return found[1] if found else None


def task_named(name: object) -> Task | None:
    """The task that a tag or a field of a record names, such as "vqa", "image_captioning" or "presence", or None."""
    if not isinstance(name, str):
        return None
    words = re.sub(r"[\W_]+", " ", name.lower())
    asks = VQA_NAMES.search(words)
    if CAPTIONING_NAMES.search(words):
        # of a name that speaks of both, the words of each prompt tell
        return None if re.search(r"\bv?qa\b|question|answer", words) else "captioning"
    return "vqa" if asks else None


POLITE = re.compile(
    r"(?:please|kindly|now|then|hi|hello|hey|ok|okay|so|can you|could you|would you mind|would you|will you"
    r"|how would you|how do you|i(?: woul|')d like you to|i want you to|i need you to|you are asked to"
    r"|your (?:task|job) is to|try to|help (?:me|us)(?: to)?|let us|let's|\w{3,}ly"
    r"|in (?:short|brief|detail|general|your own words|plain words))\b[\s,:]*"
    # "in one sentence, ...", "use a few words to ..."
    r"|(?:in|with|using|use|within)\b(?: [\w-]+){0,5}? (?:sentence|word|phrase|paragraph|line)s?\b[\s,:]*(?:to )?"
)
NAMED = (
    r"(?:captions?|descriptions?|descriptors?|summary|summaries|summari[sz]ation|explanation|interpretation|account"
    r"|narrative|narration|depiction|portrayal|rundown|analysis|overview|sentences?|paragraph|details?|story|title"
    r"|headline|outline|report|characteri[sz]ation|synopsis|illustration|impression|breakdown|commentary|gist|topic)"
)
# of one thing in the image, and not of the image
ASKED = (
    r"(?:number|count|amount|quantity|locations?|positions?|coordinates?|bounding box(?:es)?|colou?rs?|shapes?|sizes?"
    r"|types?|kinds?|class(?:es)?|categor(?:y|ies)|labels?|names?|areas?|percentage|proportion|directions?|orientation"
    r"|relationship|distance|reasons?|date|time|word)"
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
    r"|explore|analy[sz]e|examine|inspect|observe|(?:take a )?look at|detail|discuss|talk about|convey|express)\b"
)
DECIDES = r"\b(?:whether|if|how|which|why|where|determine|answer|choose|select|classify|locate|count|identify)\b"
IS = r"(?:'s| is| are| was)"
SHOWS = r"(?:represent|show|depict|contain|present|portray|display|illustrate|capture|convey|look like|describe)"
SHOWN = (
    r"(?:shown|depicted|represented|portrayed|displayed|presented|captured|pictured|happening|going on|visible|seen)"
)
THIS = rf"(?:this|the|that|these) (?:(?!of )[\w-]+ ){{0,3}}?{VIEW}"

CAPTION_PROMPTS = tuple(
    map(
        re.compile,
        (
            rf"{DESCRIBE}(?!.*?\b{ASKED} of\b)(?! (?:the |their |its )?{ASKED}\b)"
            r"(?! (?:where|how|why|which|whether)\b)",
            rf"{LOOK}(?=.*\b{VIEW}\b)(?!.*{DECIDES})(?!.*?\b{ASKED} of\b)",
            # whichever is named first: a description of the number of ..., but the number of sentences
            rf"{GIVE}(?!.*\banswer\b)(?:(?!\b{ASKED}\b).)*?\b{NAMED}\b",
            rf"(?:tell|say)\b.{{0,12}}?\b(?:about {THIS}|what (?:you see|{THIS} shows?|is (?:in|shown|happening)))",
            r"(?!select|choose|pick|which|what|how|is|are|does)(?:an? |the )?(?:[\w-]+ ){0,3}"
            r"(?:caption|description)\s*[:.]?\s*$",
            rf"(?:an? )?(?:[\w-]+ )?{VIEW} (?:of|that shows|showing)\s*:?\s*$",
            rf"what (?:does|do|did) {THIS} {SHOWS}\b",
            rf"what{IS} (?:the (?:topic|subject|content|gist|main idea)s? of|{SHOWN} (?:in|on|by))\b",
            rf"what{IS}(?: there)? (?:in|on) {THIS}\s*(?:\?|$)",
            rf"what{IS} {THIS} (?:about|of|showing|depicting)\b",
            r"what (?:can|do|could) (?:you|we|i|one|be) (?:see|seen|observe|observed|notice|tell|say)\b"
            rf"(?:.*\b{VIEW}\b)?\W*$",
            r"how (?:can|could|would|should|may)\b.*\b(?:described|summari[sz]ed|captioned)\b",
        ),
    )
)


# a data set asks the same again and again
@lru_cache(maxsize=10_000)
def asks_for_caption(prompt: str) -> bool:
    """Whether a prompt's words ask for a caption of the image."""
    text = bare_prompt(prompt)
    while found := POLITE.match(text):
        text = text[found.end() :]
    return any(pattern.match(text) for pattern in CAPTION_PROMPTS)
