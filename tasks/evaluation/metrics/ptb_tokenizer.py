"""PTB tokens of captions: the tokenizer of pycocoevalcap, its jar run without three faults of its Python wrapper.

The wrapper writes its input into site-packages, which may be read-only; a line separator other than \\n
inside a caption shifts all later captions by one; and nothing ends its Java process when it hangs.
"""

import re
from collections.abc import Sequence

from tasks.errors import RsvlmError
from tasks.evaluation.metrics.java import end_of, run_java, scorer_file

JAR = "stanford-corenlp-3.4.1.jar"
# Everything that the Java tokenizer takes for the end of a line: LF, VT, FF, CR, NEL, U+2028, U+2029.
LINE_ENDS = re.compile("[\n\x0b\x0c\r\x85\u2028\u2029]")
LIMIT_S = 60
CAPTIONS_PER_SECOND = 1000


def tokenize_captions(captions: Sequence[str]) -> list[str]:
    """The lower-case PTB tokens of each caption without punctuation, joined by spaces, in the given order.

    Equals PTBTokenizer of pycocoevalcap on the same captions in the same order. The order matters in rare cases: the
    tokenizer looks at the start of the next line to decide whether "etc." ends a sentence. Raises RsvlmError if
    the tokenizer fails.
    """
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    if not captions:
        return []
    lines = _run_tokenizer("\n".join(LINE_ENDS.sub(" ", caption) for caption in captions), len(captions))
    dropped = frozenset(PUNCTUATIONS)
    return [" ".join(word for word in line.rstrip().split(" ") if word not in dropped) for line in lines]


def _run_tokenizer(text: str, count: int) -> list[str]:
    arguments = ["-cp", str(scorer_file("tokenizer.ptbtokenizer", JAR))]
    arguments += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    done = run_java("The PTB tokenizer", arguments, LIMIT_S + count / CAPTIONS_PER_SECOND, text.encode())
    lines = done.stdout.decode().split("\n")
    # the last line has a line break or, without any caption text, none
    if done.returncode or len(lines) not in (count, count + 1):
        raise RsvlmError(
            f"The PTB tokenizer returned {len(lines)} lines for {count} captions; its output: {end_of(done.stderr)}"
        )
    return lines[:count]
