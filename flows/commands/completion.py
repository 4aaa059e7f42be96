"""`rsvlm completion`: commands, options, presets and settings completed by the shell."""

import argparse

SHELLS = ("bash", "zsh", "fish")


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `completion` to the command line."""
    parser = subparsers.add_parser(
        "completion", help="code for a shell that completes commands", description=print_completion.__doc__
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that will run the code")
    parser.set_defaults(run=print_completion)


def print_completion(options: argparse.Namespace) -> None:
    """Print code that lets a shell complete commands, options, presets, settings and runs with the Tab key."""
    from argcomplete import shellcode

    print(shellcode(["rsvlm"], shell=options.shell), end="")
