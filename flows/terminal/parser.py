"""The parser of all commands: it names the closest choice for a mistake, and keeps the lines of examples."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

USER_ERROR = 2
EXAMPLES = "examples:\n"
REQUIRED = "the following arguments are required"


class ExampleFormatter(argparse.HelpFormatter):
    """Help whose examples stay on their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLES) else super()._fill_text(text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser that explains a mistake; the parsers of its subcommands are of this class too."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **{"formatter_class": ExampleFormatter, **kwargs})  # type: ignore[arg-type]
        self._explanations: dict[str, Callable[[], str]] = {}

    def explain_missing(self, argument: str, explain: Callable[[], str]) -> None:
        """Print `explain()` instead of the usage if the positional argument with this metavar is missing."""
        self._explanations[argument] = explain

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with exit code 2."""
        for argument, explain in self._explanations.items():
            if message.startswith(REQUIRED) and argument in message:
                self.exit(USER_ERROR, explain())
        super().error(message)

    # argparse itself suggests choices only from Python 3.14 on
    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        close = closest(str(value), known)
        hint = f"did you mean {close}?" if close else f"use one of {', '.join(known)}."
        if isinstance(action, argparse._SubParsersAction):
            raise argparse.ArgumentError(None, f"{value} is not a command: {hint}")
        raise argparse.ArgumentError(action, f"{value} is not a choice: {hint}")


def explain_missing(parser: argparse.ArgumentParser, argument: str, explain: Callable[[], str]) -> None:
    """CommandParser.explain_missing, for a parser that a subparsers action has created."""
    assert isinstance(parser, CommandParser)
    parser.explain_missing(argument, explain)


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`, if any is."""
    import difflib

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def refuse_rest(parser: argparse.ArgumentParser, arguments: Sequence[str], rest: Sequence[str]) -> NoReturn:
    """End with exit code 2 and say what to write instead of `rest`, the arguments that no parser has taken."""
    command = command_parsers(parser, arguments)[-1]
    if (pair := _split_setting(arguments)) is not None:
        command.error("--set {0} {1}: write `--set {0}={1}`.".format(*pair))
    for word in rest:
        if word.startswith("--"):
            name = word.partition("=")[0]
            close = closest(name, command._option_string_actions)
            command.error(f"{name} is not an option{f': did you mean {close}?' if close else '.'}")
        if "--set" in arguments and "=" in word:
            command.error(f"{word} lacks its option: write `--set {word}`.")
    command.error(f"unrecognized arguments: {' '.join(rest)}")


def _split_setting(arguments: Sequence[str]) -> tuple[str, str] | None:
    """The name and value of the first setting that is written as two words."""
    for option, name, value in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if option == "--set" and "=" not in name and not value.startswith("--"):
            return name, value.removeprefix("=")
    return None


def command_parsers(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[argparse.ArgumentParser]:
    """The parsers that the words name, from the top: of rsvlm, of a command, of its action."""
    found = [parser]
    for word in words:
        if inner := actions_of(found[-1]).get(word):
            found.append(inner)
    return found


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser by name."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(inner[0].choices) if inner else {}
