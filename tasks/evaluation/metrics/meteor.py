"""METEOR 1.5: the jar of pycocoevalcap, spoken to with a time limit and ended whatever happens.

The package's own class waits for ever when Java hangs or dies, and leaves the process to the garbage collector.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import IO

from tasks.errors import RsvlmError
from tasks.evaluation.metrics.java import java_command, scorer_file
from tasks.processes import child_environment, die_with_parent

JAR = "meteor-1.5.jar"
# seven on an idle machine; six minutes were seen on one with much else to do
FIRST_ANSWER_S = 600
SECONDS_A_CAPTION = 0.5
# Java runs out of memory on answers that repeat themselves for 10,000 words; at 1,000 they score 0.02 at most.
MOST_TOKENS = 1000

Meteor = Callable[[Sequence[str], Sequence[Sequence[str]]], tuple[float, list[float]]]


@contextmanager
def running_meteor(captions: int, limit_s: float | None = None, options: Sequence[str] = ()) -> Iterator[Meteor]:
    """Yield a function (hypotheses, references of each) -> (score, score of each), all in PTB tokens.

    It equals Meteor.compute_score of pycocoevalcap; texts of more than 1,000 tokens are cut there. The process is
    ended when the block ends, and after `limit_s` seconds (default: by the number of captions); then the function
    raises RsvlmError. `options` are the jar's own.
    """
    limit_s = FIRST_ANSWER_S + SECONDS_A_CAPTION * captions if limit_s is None else limit_s
    jar = scorer_file("meteor.meteor", JAR)
    command = java_command("-jar", "-Xmx2G", str(jar), "-", "-", "-stdio", "-l", "en", "-norm", *options)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # a file, not a pipe: nobody reads it meanwhile, and a full pipe would stop Java
            stderr=said,
            env=child_environment(),
            preexec_fn=die_with_parent,
        )
        timer = Timer(limit_s, process.kill)
        timer.start()

        def score(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, list[float]]:
            try:
                return _score(process, hypotheses, references)
            except (BrokenPipeError, ValueError) as error:
                raise RsvlmError(_failure(process, limit_s, said)) from error

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
    # the separator of the protocol must not come from a caption
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


def _failure(process: "subprocess.Popen[bytes]", limit_s: float, said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace")[-500:]
    ended = "" if process.poll() is None else f", it ended with {process.poll()}"
    return f"METEOR's Java process gave no answer (limit {limit_s:.0f} s{ended}); it said: {lines}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe:
                pipe.close()
        except BrokenPipeError:
            # what was still to be written to a process that is gone
            continue
