"""METEOR 1.5: the jar of pycocoevalcap, run with a time limit and always ended; and a check of the Java scorers.

The package's own class waits forever when Java hangs or dies, and leaves the process to the garbage collector.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import IO

from tasks.errors import SHOWN_CHARACTERS, RsvlmError, UserError
from tasks.evaluation.metrics.java import end_of, java_command, scorer_file
from tasks.evaluation.metrics.ptb_tokenizer import tokenize_captions
from tasks.processes import child_environment, die_with_parent

JAR = "meteor-1.5.jar"
# seven seconds on an idle machine; six minutes were measured on a busy one
FIRST_ANSWER_S = 600
SECONDS_PER_CAPTION = 0.5
# Java runs out of memory on answers that repeat themselves for 10,000 words; at 1,000 they score 0.02 at most.
MOST_TOKENS = 1000
# one caption, by which the scorers are checked
CAPTION, TOKENS = "A plane on the runway.", "a plane on the runway"
# without the table of paraphrases, which METEOR needs seconds to read
QUICK_OPTIONS = ("-m", "exact stem")
CHECK_LIMIT_S = 120
PARAPHRASES = "data/paraphrase-en.gz"

# (hypotheses, references of each), all in PTB tokens -> (score, score of each)
Meteor = Callable[[Sequence[str], Sequence[Sequence[str]]], tuple[float, list[float]]]


@contextmanager
def running_meteor(captions: int, limit_s: float | None = None, options: Sequence[str] = ()) -> Iterator[Meteor]:
    """Run METEOR in the block, and yield a function (hypotheses, references of each) -> (score, score of each).

    The function equals Meteor.compute_score of pycocoevalcap; texts are cut at 1,000 tokens. The process is ended with
    the block, or after `limit_s` seconds (default: by the number of captions): then the function raises RsvlmError.
    `options` are passed to the jar.
    """
    limit_s = FIRST_ANSWER_S + SECONDS_PER_CAPTION * captions if limit_s is None else limit_s
    jar = scorer_file("meteor.meteor", JAR)
    command = java_command("-jar", "-Xmx2G", str(jar), "-", "-", "-stdio", "-l", "en", "-norm", *options)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # a file, not a pipe: nobody reads it meanwhile, and a full pipe would block Java
            stderr=output,
            env=child_environment(),
            preexec_fn=die_with_parent,
        )
        timer = Timer(limit_s, process.kill)
        timer.start()

        def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
            try:
                return _score(process, hypotheses, references)
            except (BrokenPipeError, ValueError) as error:
                raise RsvlmError(_failure(process, limit_s, output)) from error

        try:
            yield score
        finally:
            timer.cancel()
            _end(process)


def _score(
    process: "subprocess.Popen[bytes]", hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float, list[float]]:
    statistics = [
        _ask(process, " ||| ".join(["SCORE", *map(_plain, group), _plain(hypothesis).replace("  ", " ")]))
        for hypothesis, group in zip(hypotheses, references, strict=True)
    ]
    each = [float(_ask(process, " ||| ".join(["EVAL", *statistics])))]
    each += [float(_line(process)) for _ in hypotheses[1:]]
    return float(_line(process)), each


def _plain(tokens: str) -> str:
    # a caption must not contain the separator of the protocol
    plain = tokens.replace("|||", "")
    words = plain.split(" ", MOST_TOKENS)
    return " ".join(words[:MOST_TOKENS]) if len(words) > MOST_TOKENS else plain


def _ask(process: "subprocess.Popen[bytes]", line: str) -> str:
    assert process.stdin
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()
    return _line(process)


def _line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout
    line = process.stdout.readline().decode().strip()
    if not line:
        raise BrokenPipeError
    return line


def _failure(process: "subprocess.Popen[bytes]", limit_s: float, output: IO[bytes]) -> str:
    output.seek(0)
    ended = "" if process.poll() is None else f", it ended with {process.poll()}"
    return f"METEOR's Java process gave no answer (limit {limit_s:.0f} s{ended}); its output: {end_of(output.read())}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe:
                pipe.close()
        except BrokenPipeError:
            # unwritten input of a process that has ended
            continue


def check_java_scorers() -> None:
    """Check in about a second that tokenizer and METEOR work, on one caption; raises UserError if they do not."""
    if not (scorer_file("meteor.meteor", JAR).parent / PARAPHRASES).is_file():
        raise UserError(f"The package pycocoevalcap lacks METEOR's {PARAPHRASES}: install it again.")
    try:
        (tokens,) = tokenize_captions([CAPTION])
        if tokens != TOKENS:
            raise ValueError(f"the tokenizer returns {tokens!r} for {CAPTION!r}")
        with running_meteor(1, CHECK_LIMIT_S, QUICK_OPTIONS) as meteor:
            score, _ = meteor([tokens], [[tokens]])
    except UserError:
        raise
    # not the expected Java, or settings of the machine under which it fails
    except (RsvlmError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:SHOWN_CHARACTERS]
        raise UserError(f"Captions cannot be scored with this Java ({reason}): install another.") from None
    if score <= 0:
        raise UserError("METEOR gives a caption no score against itself: install pycocoevalcap again.")
