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
from pathlib import Path

DONE, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    # here, as all imports of this package: Ctrl-C is handled while they work
    from flows.commands import COMMANDS
    from flows.terminal.examples import add_examples
    from flows.terminal.parser import CommandParser

    parser = CommandParser(
        prog="rsvlm",
        description="Fine-tune vision-language models on remote-sensing instructions and evaluate the result.",
    )
    parser.explain_missing("COMMAND", parser.format_help)
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="print the version")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parsers(subparsers)
    add_examples(parser)
    return parser


class ShowVersion(argparse.Action):
    """Prints the installed version, which takes time to find out, only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"rsvlm {version('rsvlm')}")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 user error, 130 Ctrl-C, 1 anything else."""
    try:
        if arguments is None:
            from tasks.interrupting import interrupt_early

            interrupt_early()
        code = _run(sys.argv[1:] if arguments is None else arguments)
        # flush here: at interpreter exit a failed write would not reach the handlers below
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as interrupt:
        print(": ".join(("interrupted", *map(str, interrupt.args))), file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return _report(error)


def _run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    from flows.terminal.completing import complete
    from flows.terminal.parser import refuse_rest

    _open_closed_streams()
    _escape_unprintable()
    parser = build_parser()
    complete(parser)
    options, rest = parser.parse_known_args(arguments, argparse.Namespace(arguments=arguments))
    if rest:
        refuse_rest(parser, arguments, rest)
    code: int = options.run(options) or DONE
    return code


def _report(error: Exception) -> int:
    """Print what went wrong; returns the exit code."""
    from tasks.errors import user_message

    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return DONE
    if message := user_message(error):
        print(f"error: {message}", file=sys.stderr)
        return USER_ERROR
    if _is_interrupt(error):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    traceback.print_exception(error)
    return FAILED


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: Python raises a RuntimeError for one that comes while a class is created."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _open_closed_streams() -> None:
    """Discard the output to streams that the caller closed, as `>&-` does.

    The null device takes their numbers, which the next file to be opened would get otherwise.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - until the end
            setattr(sys, name, stream)
            # Prefect's server writes to it
            os.set_inheritable(stream.fileno(), True)


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
