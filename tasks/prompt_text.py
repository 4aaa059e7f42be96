"""The words of a prompt: without the image placeholder, task tag and lead-in; the task that a tag or name states;
and whether the words ask for a caption.

Words decide only where nothing else states the task: that is a guess, and is counted as one. Captions are asked for
in the phrases of LLaVA, GeoChat, VRSBench and the captioning datasets: describe the whole image, or give a caption,
a summary and the like. A prompt for a number, a location, a colour or a class is a question.
"""

import re
from functools import lru_cache
from typing import Literal

Task = Literal["captioning", "vqa", "grounding"]

# where a record's text shows the image, whatever token the model has for it
IMAGE_PLACEHOLDER = "<image>"
# task tags of GeoChat, VRSBench and MiniGPT: [vqa], [caption], [refer], [identify], ...
TAG = re.compile(r"\s*\[\s*([a-z][a-z _-]{0,30}?)\s*\]\s*", re.IGNORECASE)
IMAGE_WORD = r"(?:image|picture|photo|photograph|scene|view|tile|imagery|snapshot|figure|frame)s?"
# "You are an expert.", "This is a satellite image.", "As an analyst,", "Answer in one word."; never the whole prompt
SCENE_SETTING = (
    r"(?:(?:you are|you're|act as|imagine|suppose|assume|this is|here is|here's|below is)\b[^.?!:\n]{1,120}[.!:\n]"
    r"|as an? [^,.?!\n]{1,80},"
    r"|(?:please |kindly )?(?:(?:answer|reply|respond)|(?:give|provide) (?:me )?an? [\w -]{0,30}\banswer)\b"
    r"[^.:?\n]{0,80}[.:\n]"
    r"|(?:yes or no|true or false)\s*[:,?]"
    # only before a question: a prompt to look at the image may ask for a caption
    rf"|(?:please )?(?:look|observe|see|consider|examine|inspect|view|study|analy[sz]e)\b[^.?!:\n]{{0,60}}"
    rf"\b{IMAGE_WORD}\b[^.?!:\n]{{0,40}}[.:\n](?=[^\n]*\?)"
    r"|(?:question |q)?\d{1,3}\s*[.):](?=\s))\s*(?=\S)"
)
LEAD_IN = re.compile(
    rf"{SCENE_SETTING}"
    r"|(?:question|query|q)\s*:\s*"
    r"|(?:please |kindly )?(?:tell (?:me|us)|answer|say)(?: the (?:following )?question)?\s*[:,]\s*"
    r"|(?:based (?:up)?on|according to|judging (?:by|from)|looking at|considering|given|from|in|using|with)\s+"
    r"(?:what (?:you|we) (?:can )?see in )?"
    rf"(?:the |this |that |these |an? )?(?:[\w-]+ ){{0,4}}?{IMAGE_WORD}(?: (?:above|below|provided|given|shown|here))?"
    # without a comma only before the start of a question: "in the image of a port" alone is not a lead-in
    r"(?:(?: of [\w -]{1,40})?\s*[,:;]\s*"
    r"|\s+(?=(?:is|are|does|do|can|has|have|was|were|how|what|which|where|who|why|please|describe)\b))"
)
# names of a task in tags and in fields of records
CAPTIONING_NAMES = re.compile(r"caption|\bcaps?\b|descri|summar")
VQA_NAMES = re.compile(
    r"\bv?qa\b|question|answer|presence|\bexist|\bcount(?:s|ing)?\b|quantity|compar|\bcomp\b|\brural (?:\w+ )?urban\b"
    r"|\burban (?:\w+ )?rural\b|classif|\bcls\b|categor|\brefer|detect|\bidenti|locali[sz]|reason|yes no|\bmcq\b|choice"
)
GROUNDING_NAMES = re.compile(r"\bground(?:ing|ed)?\b|\breferring expression comprehension\b")
# only as the whole name: "object size" is a kind of question, "residential area" may be the content of the image
PROPERTY = r"(?:scene|class|position|object|area|colou?r|shape|size|direction)s?"
PROPERTIES = re.compile(rf"(?:(?:image|type|kind|land|of|the) )*{PROPERTY}(?: (?:{PROPERTY}|types?|kinds?))*")


def without_placeholder(text: str) -> str:
    """A text without the image placeholder and the white space around it."""
    return text.replace(IMAGE_PLACEHOLDER, "").strip()


def with_placeholder(text: str) -> str:
    """A text with one image placeholder, on its own line at the start, as LLaVA is trained."""
    return f"{IMAGE_PLACEHOLDER}\n{without_placeholder(text)}".strip()


def placeholder_first(text: str) -> str:
    """A text as it is if it has no image placeholder, otherwise with the placeholder moved to its start."""
    return with_placeholder(text) if IMAGE_PLACEHOLDER in text else text


def ensure_placeholder(text: str) -> str:
    """A text as it is if it has the image placeholder, otherwise with the placeholder on a line before it."""
    return text if IMAGE_PLACEHOLDER in text else f"{IMAGE_PLACEHOLDER}\n{text}"


def bare_prompt(text: str) -> str:
    """A prompt's words in lower case, without placeholder, tag and lead-ins such as "based on the image,"."""
    text = without_placeholder(text)
    text = TAG.sub("", text, count=1).strip().lower() if "[" in text else text.lower()
    while found := LEAD_IN.match(text):
        text = text[found.end() :]
    return text


def tag_of(text: str) -> str | None:
    """The tag at the start of a prompt, before or after the image placeholder, or None."""
    if "[" not in text:
        return None
    found = TAG.match(without_placeholder(text))
    return found[1] if found else None


def task_from_name(name: object) -> Task | None:
    """The task stated by a tag or a record field, such as "vqa", "image_captioning" or "presence", or None."""
    if not isinstance(name, str):
        return None
    words = re.sub(r"[\W_]+", " ", name.lower())
    if GROUNDING_NAMES.search(words):
        return "grounding"
    asks = VQA_NAMES.search(words) or PROPERTIES.fullmatch(words.strip())
    if CAPTIONING_NAMES.search(words):
        # a name that states both tasks leaves it to the words of each prompt
        return None if re.search(r"\bv?qa\b|question|answer", words) else "captioning"
    return "vqa" if asks else None


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
# about one thing in the image, not about the image
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
# a region in a prompt: the prompt asks about that region
REGION = re.compile(r"[{<\[(]\s*<?\s*\d|<(?:p|box|ref|bbox|region)>")
# after these a caption prompt may name anything that the caption should mention
REST = r"(?:,|\b(?:including|focus|with attention|paying|especially|such as)\b)"
THIS = rf"(?:this|the|that|these) (?:(?!of )[\w-]+ ){{0,3}}?{IMAGE_WORD}"

CAPTION_PROMPTS = tuple(
    map(
        re.compile,
        (
            r"(?:(?:identify|observe|view|study|recognize) (?:(?:the|this|that) \w+ )?and )?"
            rf"{DESCRIBE}(?!(?:(?!{REST}).)*?\b{ASKED} of\b)(?! (?:the |their |its )?{ASKED}\b)"
            r"(?! (?:where|how|why|which|whether)\b)",
            rf"{LOOK}(?=.*\b{IMAGE_WORD}\b)(?!.*{DECIDES})(?!.*?\b{ASKED} of\b)",
            # whichever comes first: a description of the number of ..., but the number of sentences
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
            rf"(?:an? )?(?:[\w-]+ )?{IMAGE_WORD} (?:of|that shows|showing)\s*:?\s*$",
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
