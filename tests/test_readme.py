"""README, docs/commands.md and CONTRIBUTING.md name all commands, presets, packages and flows."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from support.locations import REPO

from flows.cli import build_parser

README, COMMANDS, CONTRIBUTING = (
    (REPO / name).read_text(encoding="utf-8") for name in ("README.md", "docs/commands.md", "CONTRIBUTING.md")
)
MOST_LINES = 130
PRESETS = REPO / "deployments" / "presets"


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"```\w*\n(.*?)```", text, flags=re.DOTALL)


def shown_commands(page: str) -> list[list[str]]:
    """The words of every rsvlm command of a page, in code blocks and between backticks."""
    joined = page.replace("\\\n", " ")
    lines = [line for block in code_blocks(joined) for line in block.split("\n")]
    pieces = [*lines, *re.findall(r"`([^`\n]+)`", joined)]
    found = (re.match(r"(?:\.venv/bin/)?rsvlm ([a-z].*)", piece) for piece in pieces)
    return [match[1].split() for match in found if match]


def actions_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser's commands by name; none for a command that has no further ones."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def all_commands(parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in actions_of(parser).items():
        if actions_of(inner):
            yield from all_commands(inner, (*before, name))
        else:
            yield (*before, name)


def tree_paths() -> Iterator[Path]:
    """Every path of the tree in CONTRIBUTING.md; the files of a folder are indented by two columns."""
    (block,) = code_blocks(section(CONTRIBUTING, "The tree"))
    folder = Path()
    for line in block.rstrip("\n").split("\n"):
        names = re.match(r"\s*((?:[\w.-]+(?:\.py|/)(?: |$))*)", line)
        assert names
        listed = names[1].split()
        if line[0] != " ":
            (name,) = listed
            folder = Path(name)
            yield folder
        else:
            yield from (folder / name for name in listed)


def test_readme_is_short() -> None:
    assert README.count("\n") <= MOST_LINES


def test_quick_start_has_two_commands() -> None:
    assert [block.strip() for block in code_blocks(section(README, "Quick start"))] == [
        "make demo",
        ".venv/bin/rsvlm run real-cpu --set data.root=FOLDER",
    ]


def test_the_table_of_commands_is_complete() -> None:
    table = "\n".join(line for line in COMMANDS.split("\n") if line.startswith("|"))
    lacking = [name for name in map(" ".join, all_commands(build_parser())) if f"`rsvlm {name}" not in table]
    assert lacking == []


def test_every_preset_is_described_and_every_named_preset_exists() -> None:
    named = {
        words[1]
        for page in (README, COMMANDS)
        for words in shown_commands(page)
        if words[0] in ("run", "config") and len(words) > 1
    }
    known = {path.stem for path in PRESETS.glob("*.yaml")}
    assert named - {"PRESET_OR_YAML", "mine.yaml"} <= known
    assert all(f"| `{name}` |" in COMMANDS for name in known)


def test_the_tree_exists() -> None:
    paths = list(tree_paths())
    assert len(paths) > 25
    assert [path for path in paths if not (REPO / path).exists()] == []


def test_the_tree_names_every_package_and_every_flow() -> None:
    there = {path for package in ("flows", "tasks") for path in (REPO / package).iterdir() if path.name[0] not in "._"}
    named = {REPO / path for path in tree_paths()}
    assert {path.relative_to(REPO) for path in there - named if path.suffix == ".py" or path.is_dir()} == set()


def test_the_make_commands_exist() -> None:
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^make ([\w-]+)", section(CONTRIBUTING, "Commands"), flags=re.MULTILINE))
    assert {"demo", "test", "check", "bench"} <= named == set(re.findall(r"^([\w-]+): \$\(INSTALLED\)", makefile, re.M))
