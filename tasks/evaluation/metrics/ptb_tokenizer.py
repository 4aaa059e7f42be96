"""PTB tokens of captions: the tokenizer of pycocoevalcap, its jar run without its wrapper's three faults.

The wrapper writes its input into site-packages, which may be read-only; a line separator other than \\n
inside a caption shifts all later captions by one; and nothing ends its Java process when it hangs.
"""

import re
import subprocess
from collections.abc import Sequence

from tasks.errors import RsvlmError
from tasks.evaluation.metrics.java import java_command, scorer_file
from tasks.processes import child_environment, die_with_parent

JAR = "stanford-corenlp-3.4.1.jar"
# All that the Java tokenizer takes for the end of a line: LF, VT, FF, CR, NEL, U+2028, U+2029.
LINE_ENDS = re.compile("[\n\x0b\x0c\r\x85\u2028\u2029]")
LIMIT_S = 60
CAPTIONS_A_SECOND = 1000


def tokenize_captions(captions: Sequence[str]) -> list[str]:
    """Each caption's lower-case PTB tokens without punctuation, joined by spaces, in the order given.

    Equal to PTBTokenizer of pycocoevalcap on the same captions in the same order. The order matters in rare
    cases: the tokenizer looks at the start of the next line to tell whether "etc." ends a sentence.
    """
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    if not captions:
        return []
    lines = _run_tokenizer("\n".join(LINE_ENDS.sub(" ", caption) for caption in captions), len(captions))
    dropped = frozenset(PUNCTUATIONS)
    return [" ".join(word for word in line.rstrip().split(" ") if word not in dropped) for line in lines]


def _run_tokenizer(text: str, count: int) -> list[str]:
    command = java_command("-cp", str(scorer_file("tokenizer.ptbtokenizer", JAR)))
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
            command,
            input=text.encode(),
            capture_output=True,
            timeout=LIMIT_S + count / CAPTIONS_A_SECOND,
            env=child_environment(),
            preexec_fn=die_with_parent,
        )
    except subprocess.TimeoutExpired as error:
        raise RsvlmError(f"The PTB tokenizer did not end within {error.timeout:.0f} s.") from None
    lines = done.stdout.decode().split("\n")
    # the last line has a line break or, without any caption text, none
    if done.returncode or len(lines) not in (count, count + 1):
        said = done.stderr.decode(errors="replace")[-500:]
        raise RsvlmError(f"The PTB tokenizer gave {len(lines)} lines for {count} captions; it said: {said}")
    return lines[:count]
