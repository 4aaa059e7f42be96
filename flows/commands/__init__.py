"""One module per group of commands; each adds its parsers to the command line."""

from types import ModuleType

from flows.commands import (
    chat,
    checkpoints,
    completion,
    data,
    deploy,
    evaluation,
    experiment,
    inspecting,
    merging,
    predict,
    preflight,
    report,
    runs,
    serve,
    sweeping,
)

COMMANDS: list[ModuleType] = [
    experiment,
    sweeping,
    preflight,
    data,
    inspecting,
    checkpoints,
    merging,
    predict,
    evaluation,
    report,
    runs,
    chat,
    serve,
    deploy,
    completion,
]
