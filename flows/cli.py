"""The `rsvlm` command: `run`, `train` and `data fetch` start flows, the rest call a stage's functions directly.

Each module of flows.commands adds its parsers and names the function to run; whatever is slow to import is
imported inside that function, so that `--help` and a wrong argument answer at once.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence

from flows.commands import COMMANDS
from tasks.errors import UserError

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
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or DONE
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
