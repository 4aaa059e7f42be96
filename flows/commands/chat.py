"""`rsvlm chat`: ask a model about images in a terminal."""

import argparse
from typing import get_args

from flows.commands.adapter_options import add_adapter, add_model, loading_name, require_adapter_for_projector
from tasks.choices import ChatHistory


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `chat` to the command line."""
    parser = subparsers.add_parser("chat", help="ask a model about images in a terminal", description=run.__doc__)
    add_model(parser)
    add_adapter(parser)
    parser.add_argument(
        "--history",
        choices=get_args(ChatHistory),
        default="predicted",
        help="what a prompt sees of the earlier ones about its image: all with their answers (default), or nothing",
    )
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=512,
        metavar="N",
        help="maximum length of an answer in tokens (default: 512)",
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
    from tasks.serving.models import ServedModel
    from tasks.serving.terminal_chat import Terminal, chat

    require_adapter_for_projector(options)
    if options.max_new_tokens < 1:
        raise ConfigError(f"--max-new-tokens is {options.max_new_tokens}: give 1 or more.")
    for stream in (sys.stdin, sys.stdout):
        # neither piped input nor answers need be valid text in the terminal's encoding
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    terminal = Terminal(source=sys.stdin, answers=sys.stdout, messages=sys.stderr)
    terminal.explain(f"loading {loading_name(options)} ...")
    model = ServedModel("model", load_model(options.model, options.adapter, projector=options.projector))
    decoding, history = Decoding(options.max_new_tokens), options.history
    if history == "predicted" and not model.loaded.family.dialogues:
        print(f"{model.loaded.family.name} takes no dialogues: each prompt is asked alone.", file=sys.stderr)
        history = "independent"
    chat(lambda image: Conversation(model, image, decoding, history), terminal)
