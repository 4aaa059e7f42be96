"""The `rsvlm` command: `run`, `train` and `data fetch` start flows, the other commands call a stage's functions.

Each module of flows.commands adds its parsers and sets the function to run. Slow imports are inside that function, so
that `--help` and a wrong argument answer at once.
"""

import argparse
import io
import os
import select
import sys
import traceback
from collections.abc import Sequence

from flows.commands import COMMANDS
from tasks.errors import user_message

DONE, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="rsvlm",
        description="Fine-tune vision-language models on remote-sensing instructions and evaluate the result.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parsers(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 user error, 130 Ctrl-C, 1 anything else."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _escape_unprintable()
    options = build_parser().parse_args(arguments, argparse.Namespace(arguments=arguments))
    try:
        code = options.run(options) or DONE
        # flush here: at interpreter exit a failed write would not reach the handlers below
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as interrupt:
        print(": ".join(("interrupted", *map(str, interrupt.args))), file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            return DONE
        if message := user_message(error):
            print(f"error: {message}", file=sys.stderr)
            return USER_ERROR
        traceback.print_exc()
        return FAILED


def _escape_unprintable() -> None:
    """Escape characters that the terminal's encoding lacks, as stderr does, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _reader_is_gone() -> bool:
    """Whether the reader of the output has closed it, as `head` does; if so, discard all further output."""
    output = select.poll()
    # poll always reports a pipe without a reader
    output.register(sys.stdout.fileno(), 0)
    if not output.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


if __name__ == "__main__":
    sys.exit(main())
