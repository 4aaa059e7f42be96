"""`--help` of every command says what the command does, what an option is that is not given, and shows examples."""

import argparse
import shlex
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from flows.cli import build_parser, main
from flows.terminal.examples import BY_COMMAND
from tasks.settings import DataConfig, InferenceConfig, MergingConfig, Section


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """All commands that do something."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield parser
    for action in inner:
        for below in action.choices.values():
            yield from commands(below)


COMMANDS = pytest.mark.parametrize("command", [*commands(build_parser())], ids=lambda parser: parser.prog)


@COMMANDS
def test_every_command_has_a_description(command: argparse.ArgumentParser) -> None:
    assert command.description and command.description.endswith(".")


@COMMANDS
def test_every_argument_is_explained(command: argparse.ArgumentParser) -> None:
    assert [action.dest for action in command._actions if not action.help] == []


@COMMANDS
def test_defaults_are_in_the_help(command: argparse.ArgumentParser) -> None:
    given = [action for action in command._actions if action.default not in (None, False, [], (), argparse.SUPPRESS)]
    assert [action.dest for action in given if "default" not in str(action.help)] == []


@COMMANDS
def test_the_help_ends_with_examples(command: argparse.ArgumentParser) -> None:
    words = command.prog.removeprefix("rsvlm ")
    *_, last = BY_COMMAND[words]
    assert command.format_help().rstrip().endswith(f"  {last}")


@pytest.mark.parametrize("example", sorted({line for lines in BY_COMMAND.values() for line in lines}))
def test_an_example_is_a_command(example: str) -> None:
    shown = example.partition('eval "$(')[2].partition(')"')[0] or example
    _, *arguments = shlex.split(shown.partition(" > ")[0])
    assert build_parser().parse_args(arguments).run


def test_examples_are_of_commands_that_exist() -> None:
    assert BY_COMMAND.keys() - {""} == {command.prog.removeprefix("rsvlm ") for command in commands(build_parser())}


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"rsvlm {version('rsvlm')}\n")


@COMMANDS
def test_the_metavar_of_an_argument_names_its_value(command: argparse.ArgumentParser) -> None:
    taking = [action for action in command._actions if action.nargs != 0 and not action.choices]
    # argparse would show `--out OUT` and `out_dir`
    bare = [action.dest for action in taking if action.metavar is None]
    assert [name for name in bare if name not in ("name", "host", "port")] == []


@pytest.mark.parametrize(
    ("arguments", "section"),
    [
        (("data", "split", "in.json", "out"), DataConfig()),
        (("merge", "--base=b", "--adapter=a", "--out=o"), MergingConfig()),
    ],
)
def test_defaults_are_those_of_the_settings(arguments: tuple[str, ...], section: Section) -> None:
    given = vars(build_parser().parse_args(arguments))
    shared = given.keys() & type(section).model_fields.keys() - {"sources"}
    assert len(shared) > 2 and {name: given[name] for name in shared} == {
        name: getattr(section, name) for name in shared
    }


@pytest.mark.parametrize("name", ["max_new_tokens", "temperature", "seed", "history", "caption_turns", "dtype"])
def test_the_help_of_predict_names_the_defaults_of_the_settings(name: str) -> None:
    (help_text,) = (
        str(action.help)
        for parser in commands(build_parser())
        if parser.prog.endswith(" predict")
        for action in parser._actions
        if action.dest == name
    )
    default = getattr(InferenceConfig(), name)
    words = {"independent": "nothing (default)"}.get(
        default, f"default: {f'{default:g}' if isinstance(default, float) else default}"
    )
    assert words in help_text
