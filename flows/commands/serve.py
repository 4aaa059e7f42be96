"""`rsvlm serve`: a web page and an API to ask a model about images."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.commands.adapter_options import add_adapter, add_model, loading_name, require_adapter_for_projector

if TYPE_CHECKING:
    from tasks.serving.answers import Example
    from tasks.serving.models import ServedModel

EXAMPLES = 6
EXAMPLE_SIDE = 256
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif"}
QUESTION = "What does this image show?"
# a form adds a little to the file that it uploads
FORM_BYTES = 1_000_000


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `serve` to the command line."""
    parser = subparsers.add_parser("serve", help="a web page to ask a model about images", description=run.__doc__)
    add_model(parser)
    add_adapter(parser, "adapter directory; base and tuned model then answer side by side")
    parser.add_argument(
        "--examples", type=Path, metavar="DIR", help="folder of example images (default: synthetic scenes)"
    )
    add_address(parser, 7860)
    parser.set_defaults(run=run)


def add_address(parser: argparse.ArgumentParser, port: int) -> None:
    """Add where a page is served and who may see it: --host, --port, --login-file, --allow-host."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=port, help=f"port to listen on; 0: any free port (default: {port})")
    parser.add_argument(
        "--login-file",
        type=Path,
        metavar="FILE",
        help="file with user:password that every visitor must give; or the environment variable RSVLM_SERVE_LOGIN",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME[:PORT]",
        help="another host name of the page, such as a proxy's; may be repeated",
    )


def address_of(host: str, port: int) -> str:
    """The URL of a page that is served there."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(options: argparse.Namespace) -> None:
    """Serve a page to upload images and ask about them, and an API, until Ctrl-C or SIGTERM."""
    import os
    import sys
    from tempfile import TemporaryDirectory

    from tasks.model.families import family_of
    from tasks.serving.environment import login_from_pipe, restart_without_secrets
    from tasks.serving.hosts import LOOPBACK
    from tasks.serving.http_server import bind_socket
    from tasks.serving.login import VARIABLE, read_login

    require_adapter_for_projector(options)
    login = login_from_pipe() or read_login(os.environ, options.login_file)
    restart_without_secrets(login)
    # report a bad address now: loading the model takes minutes
    bind_socket(options.host, options.port).close()
    if options.host not in LOOPBACK and login is None:
        print(
            f"warning: whoever reaches port {options.port} of this machine can use the model: "
            f"set {VARIABLE}=user:password, or give --login-file.",
            file=sys.stderr,
        )
    family_of(options.model).read_config(options.model)
    with TemporaryDirectory(prefix="rsvlm-serve-") as folder:
        # Gradio reads these when it is imported
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
        os.environ |= {"GRADIO_ANALYTICS_MAX_EVENTS": "100"}
        _serve(options, login, Path(folder))


def _serve(options: argparse.Namespace, login: tuple[str, str] | None, folder: Path) -> None:
    import sys

    from tasks.errors import ConfigError
    from tasks.serving.answers import UPLOAD_BYTES
    from tasks.serving.hosts import Hosts
    from tasks.serving.http_server import LimitsMiddleware, bind_socket, serve_until_signal
    from tasks.serving.models import load_served_models
    from tasks.serving.suggestions import suggest_questions
    from tasks.serving.uploads import Uploads

    examples = list(_examples(options.examples, folder / "examples"))
    try:
        from tasks.serving.page import build_page, mount_page
    except ModuleNotFoundError as error:
        raise ConfigError(f"The page needs {error.name}: pip install 'rsvlm[serve]'.") from None
    uploads = Uploads(folder)
    print(f"loading {loading_name(options)} ...", file=sys.stderr, flush=True)
    models = load_served_models(options.model, options.adapter, projector=options.projector)
    suggestions = suggest_questions(options.model, options.adapter)
    page = mount_page(build_page(models, _about(models), uploads, examples, suggestions), uploads, login)
    app = LimitsMiddleware(page, UPLOAD_BYTES + FORM_BYTES, Hosts(options.host, options.allow_host))
    with bind_socket(options.host, options.port) as bound:
        print(address_of(options.host, bound.getsockname()[1]), flush=True)
        print("Ctrl-C ends the server.", file=sys.stderr, flush=True)
        serve_until_signal(app, bound)


def _about(models: "Sequence[ServedModel]") -> str:
    base = f", and its base model `{models[0].title}`" if len(models) > 1 else ""
    return f"Model `{models[-1].title}`{base}. Upload an image or choose an example, and ask. Answers may be wrong."


def _examples(given: Path | None, folder: Path) -> "Iterator[Example]":
    """The images of a folder, or synthetic scenes drawn into `folder`, each with a question."""
    from tasks.errors import DataError
    from tasks.serving.answers import Example

    if given is None:
        yield from _synthetic_examples(folder)
        return
    if not given.is_dir():
        raise DataError(f"{given} is not a folder: give a folder of images as --examples.")
    images = sorted(path for path in given.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    for image in images[:EXAMPLES]:
        yield Example(image, QUESTION)


def _synthetic_examples(folder: Path) -> "Iterator[Example]":
    from itertools import islice

    from tasks.data.synthetic.dataset import sample_records
    from tasks.data.synthetic.drawing import paint
    from tasks.prompt_text import without_placeholder
    from tasks.serving.answers import Example
    from tasks.settings import SampleConfig

    folder.mkdir()
    for number, (record, scene) in enumerate(islice(sample_records(SampleConfig()), EXAMPLES)):
        image = folder / f"{number + 1}.png"
        paint(scene, EXAMPLE_SIDE).save(image)
        yield Example(image, without_placeholder(record["conversations"][0]["value"]))
