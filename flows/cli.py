"""The `rsvlm` command: `run`, `train` and `data fetch` start flows, the rest call a stage's functions directly.

Each module of flows.commands adds its parsers and names the function to run; whatever is slow to import is
imported inside that function, so that `--help` and a wrong argument answer at once.
"""

import argparse
import io
import os
import select
import sys
import traceback
from collections.abc import Sequence

from flows.commands import COMMANDS
from tasks.errors import told_to_user

DONE, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="rsvlm", description="Fine-tune LLaVA on remote-sensing instructions and score what it learned."
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parsers(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 the user can mend it, 1 anything else."""
    arguments = sys.argv[1:] if arguments is None else arguments
    _print_any_letter()
    options = build_parser().parse_args(arguments, argparse.Namespace(arguments=arguments))
    try:
        code = options.run(options) or DONE
        # what cannot be written is an error, and not one of the interpreter's end
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as interrupt:
        print(": ".join(("interrupted", *map(str, interrupt.args))), file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            return DONE
        if told := told_to_user(error):
            print(f"error: {told}", file=sys.stderr)
            return USER_ERROR
        traceback.print_exc()
        return FAILED


def _print_any_letter() -> None:
    """Write letters that the terminal's encoding lacks as on stderr, and end no command for them."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _reader_has_gone() -> bool:
    """Whether who reads the output has seen enough, as `head` has; what is still to be written then goes nowhere."""
    output = select.poll()
    # of a pipe without a reader poll always tells
    output.register(sys.stdout.fileno(), 0)
    if not output.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


if __name__ == "__main__":
    sys.exit(main())
