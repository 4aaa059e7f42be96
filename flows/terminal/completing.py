"""Completion in the shell: commands and options, and names of presets, settings and runs."""

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deployments.preset_files import preset_names
from flows.terminal.parser import actions_of

Completer = Callable[..., Iterable[str]]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks for completions, and end this process; does nothing for any other caller."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    for action in _actions(parser):
        if (completer := COMPLETERS.get(action.metavar if isinstance(action.metavar, str) else "")) is not None:
            action.completer = completer  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser, always_complete_options=False)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of all commands."""
    yield from parser._actions
    for inner in actions_of(parser).values():
        yield from _actions(inner)


def _presets(prefix: str, **_: object) -> list[str]:
    from argcomplete.completers import FilesCompleter

    return [*preset_names(), *FilesCompleter(("yaml", "yml"))(prefix)]


def _settings(**_: object) -> list[str]:
    from tasks.settings.names import setting_paths

    return [f"{path}=" for path in setting_paths()]


def _reports(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from argcomplete.completers import DirectoriesCompleter

    folders = DirectoriesCompleter()(prefix)
    if "workspace" not in parsed_args:
        # takes folders only
        return [*folders]
    runs = Path(parsed_args.workspace) / "runs"
    return [*(path.parent.name for path in runs.glob("*/reports")), *folders]


COMPLETERS: dict[str, Completer] = {
    "PRESET_OR_YAML": _presets,
    "a.b=value": _settings,
    **dict.fromkeys(("REPORT_DIR_A", "REPORT_DIR_B", "REPORT_DIR", "RUN"), _reports),
}
