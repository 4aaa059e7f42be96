"""One module a group of commands; each adds its parsers to the command line."""

from types import ModuleType

from flows.commands import checkpoints

COMMANDS: list[ModuleType] = [checkpoints]
