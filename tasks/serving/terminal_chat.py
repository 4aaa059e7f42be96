"""The chat in a terminal or through a pipe: an image, then prompts; "exit" for the next image, "stop" to quit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from tasks.errors import DataError
from tasks.secret_addresses import without_secrets
from tasks.serving.conversation import Conversation
from tasks.serving.image_downloads import fetch_image, is_url

NEXT_IMAGE, QUIT = "exit", "stop"


@dataclass(frozen=True)
class Terminal:
    """The streams of a chat; input prompts are printed for a person only, not for a pipe."""

    source: TextIO
    answers: TextIO
    messages: TextIO

    def lines(self, invitation: str) -> Iterator[str]:
        """Yield the typed lines without empty ones, until "stop" or the end of the input."""
        while True:
            if self.source.isatty():
                print(invitation, end="", file=self.messages, flush=True)
            line = self.source.readline()
            text = line.strip()
            if not line or text.lower() == QUIT:
                return
            if text:
                yield text

    def explain(self, text: str) -> None:
        """Print a line for a person; nothing for a pipe."""
        if self.source.isatty():
            print(text, file=self.messages, flush=True)

    def report(self, error: object) -> None:
        """Print an error message."""
        print(f"error: {error}", file=self.messages, flush=True)


def chat(open_image: Callable[[Path], Conversation], terminal: Terminal) -> None:
    """Converse about one image after another until "stop" or the end of the input.

    A person is asked again for an image that cannot be read; through a pipe it raises DataError.
    """
    terminal.explain(f'Ask about an image. "{NEXT_IMAGE}": next image; "{QUIT}", Ctrl-D or Ctrl-C: end.')
    with TemporaryDirectory(prefix="rsvlm-chat-") as folder:
        for image in terminal.lines("image path or URL: "):
            if image.lower() == NEXT_IMAGE:
                continue
            try:
                conversation = _open_conversation(image, open_image, Path(folder))
            except DataError as error:
                if not terminal.source.isatty():
                    # the next lines are prompts about this image: they must not be taken for images
                    raise
                terminal.report(error)
                continue
            if not _answer_prompts(conversation, terminal):
                return


def _answer_prompts(conversation: Conversation, terminal: Terminal) -> bool:
    """Answer prompts about one image; returns True if another image follows, False at the end."""
    for prompt in terminal.lines("prompt: "):
        if prompt.lower() == NEXT_IMAGE:
            return True
        try:
            for piece in conversation.ask(prompt):
                print(piece, end="", file=terminal.answers, flush=True)
            print(file=terminal.answers, flush=True)
        except DataError as error:
            terminal.report(f'{error}; type "{NEXT_IMAGE}" to start over with an image')
    return False


def _open_conversation(image: str, open_image: Callable[[Path], Conversation], folder: Path) -> Conversation:
    if not is_url(image):
        path = Path(image).expanduser()
        if not path.exists():
            # not the message of read_image, which names a record
            raise DataError(f"{image} does not exist: give the path or URL of an image.")
        return open_image(path)
    file = folder / "image"
    fetch_image(image, file)
    try:
        return open_image(file)
    except DataError as error:
        # name the URL, which the user knows, not the temporary file
        raise DataError(str(error).replace(str(file), without_secrets(image))) from None
