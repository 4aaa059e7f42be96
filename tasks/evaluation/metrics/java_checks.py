"""The Java scorers of captions, tried on one caption in about a second, before anything is trained."""

from tasks.errors import SHOWN_CHARACTERS, RsvlmError, UserError
from tasks.evaluation.metrics.java import scorer_file
from tasks.evaluation.metrics.meteor import JAR, running_meteor
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions

CAPTION, TOKENS = "A plane on the runway.", "a plane on the runway"
# without the table of paraphrases, which takes METEOR seconds to read
QUICKLY = ("-m", "exact stem")
LIMIT_S = 120
PARAPHRASES = "data/paraphrase-en.gz"


def try_scorers() -> None:
    """Raise UserError unless tokenizer and METEOR give a caption its tokens and its score."""
    if not (scorer_file("meteor.meteor", JAR).parent / PARAPHRASES).is_file():
        raise UserError(f"The package pycocoevalcap lacks METEOR's {PARAPHRASES}: install it again.")
    try:
        (tokens,) = tokenize_captions([CAPTION])
        if tokens != TOKENS:
            raise ValueError(f"the tokenizer makes {tokens!r} of {CAPTION!r}")
        with running_meteor(1, LIMIT_S, QUICKLY) as meteor:
            score, _ = meteor([tokens], [[tokens]])
    except UserError:
        raise
    # another Java than was expected, or settings of the machine that it cannot work with
    except (RsvlmError, OSError, ValueError) as error:
        raise UserError(f"Captions cannot be scored with this Java ({_short(error)}): install another.") from None
    if score <= 0:
        raise UserError("METEOR gives a caption no score against itself: install pycocoevalcap again.")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:SHOWN_CHARACTERS]
