"""The options that say which adapter is put on a model, and whose projector the two have."""

import argparse
from pathlib import Path


def add_adapter(parser: argparse.ArgumentParser, help: str = "adapter directory to put on the model") -> None:
    """Add `--adapter`, and with it `--projector`."""
    parser.add_argument("--adapter", type=Path, metavar="DIR", help=help)
    add_projector(parser)


def add_projector(parser: argparse.ArgumentParser) -> None:
    """Add `--projector`."""
    parser.add_argument(
        "--projector",
        choices=("adapter", "base"),
        default="adapter",
        help="whose projector is used: the adapter's (default), or the base's for an adapter that never trained it, "
        "as plain PEFT and LLaMA-Factory make them",
    )


def require_adapter_for_projector(options: argparse.Namespace) -> None:
    """Raise ConfigError where --projector says something of an adapter that is not given."""
    from tasks.errors import ConfigError

    if options.projector == "base" and options.adapter is None:
        raise ConfigError("--projector base is about an adapter: give --adapter too, or leave it out.")
