"""The options of all commands that load a model: its directory, an adapter on it, and whose projector is used."""

import argparse
from pathlib import Path
from typing import get_args

from tasks.choices import Projector


def add_model(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add `--model`."""
    parser.add_argument("--model", type=Path, required=required, metavar="DIR", help="model directory")


def add_adapter(parser: argparse.ArgumentParser, help: str = "adapter directory to put on the model") -> None:
    """Add `--adapter` and `--projector`."""
    parser.add_argument("--adapter", type=Path, metavar="DIR", help=help)
    add_projector(parser)


def add_projector(parser: argparse.ArgumentParser) -> None:
    """Add `--projector`."""
    parser.add_argument(
        "--projector",
        choices=get_args(Projector),
        default="adapter",
        help="whose projector is used: the adapter's (default), or the base's for an adapter trained without it, "
        "as by plain PEFT and LLaMA-Factory",
    )


def require_adapter_for_projector(options: argparse.Namespace) -> None:
    """Raise ConfigError if --projector is given without an adapter."""
    from tasks.errors import ConfigError

    if options.projector == "base" and options.adapter is None:
        raise ConfigError("--projector base needs an adapter: give --adapter too, or leave it out.")


def loading_name(options: argparse.Namespace) -> str:
    """The names of the model and the adapter that are about to be loaded, which takes minutes for 7B."""
    from tasks.serving.model_names import adapter_name, model_name

    adapter = f" with the adapter {adapter_name(options.adapter)}" if options.adapter else ""
    return f"{model_name(options.model)}{adapter}"
