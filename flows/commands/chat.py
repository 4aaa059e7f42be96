"""`rsvlm chat`: talk with a model about images."""

import argparse
from pathlib import Path
from typing import Any

from flows.commands.adapter_options import add_adapter, require_adapter_for_projector


def add_parsers(subparsers: Any) -> None:
    """Add `chat` to the command line."""
    parser = subparsers.add_parser("chat", help="talk with a model about images", description=run.__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="LLaVA model directory")
    add_adapter(parser)
    parser.add_argument(
        "--history",
        choices=("predicted", "independent"),
        default="predicted",
        help="what a prompt sees of the earlier ones about its image: all and their answers (default), or nothing",
    )
    parser.add_argument(
        "--max-new-tokens", type=int, default=512, metavar="N", help="longest answer in tokens (default: 512)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read an image path or URL from stdin, then prompts; "exit": next image; "stop" or end of input: quit."""
    import sys
    from io import TextIOWrapper

    from tasks.errors import ConfigError
    from tasks.inference.engines.decoding import Decoding
    from tasks.model.loading import load_model
    from tasks.serving.conversation import Conversation
    from tasks.serving.models import Speaker
    from tasks.serving.terminal_chat import Terminal, chat

    require_adapter_for_projector(options)
    if options.max_new_tokens < 1:
        raise ConfigError(f"--max-new-tokens is {options.max_new_tokens}: give 1 or more.")
    for stream in (sys.stdin, sys.stdout):
        # what a pipe brings need not be text of the terminal's encoding, nor what the model says
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    speaker = Speaker("model", load_model(options.model, options.adapter, projector=options.projector))
    decoding = Decoding(options.max_new_tokens)
    chat(
        lambda image: Conversation(speaker, image, decoding, options.history),
        Terminal(source=sys.stdin, answers=sys.stdout, messages=sys.stderr),
    )
