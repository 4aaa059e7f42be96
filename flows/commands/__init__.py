"""One module per group of commands; each adds its parsers to the command line."""

from types import ModuleType

from flows.commands import (
    chat,
    checkpoints,
    data,
    deploy,
    evaluation,
    experiment,
    inspecting,
    merging,
    predict,
    preflight,
    serve,
)

COMMANDS: list[ModuleType] = [
    experiment,
    preflight,
    data,
    inspecting,
    checkpoints,
    merging,
    predict,
    evaluation,
    chat,
    serve,
    deploy,
]
