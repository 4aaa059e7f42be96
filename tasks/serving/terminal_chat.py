"""The chat in a terminal or through a pipe: an image, prompts about it, "exit" for the next image, "stop"."""

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
    """Where lines come from and where they go; what to type is said only to a person, not into a pipe."""

    source: TextIO
    answers: TextIO
    messages: TextIO

    def lines(self, invitation: str) -> Iterator[str]:
        """What is typed, line by line, without empty lines; ends with "stop" or the input."""
        while True:
            if self.source.isatty():
                print(invitation, end="", file=self.messages, flush=True)
            line = self.source.readline()
            text = line.strip()
            if not line or text.lower() == QUIT:
                return
            if text:
                yield text

    def complain(self, error: object) -> None:
        print(f"error: {error}", file=self.messages, flush=True)


def chat(open_image: Callable[[Path], Conversation], terminal: Terminal) -> None:
    """Talk about one image after another until "stop" or the end of the input.

    A person is asked again for an image that cannot be read; raises DataError where it comes through a pipe.
    """
    with TemporaryDirectory(prefix="rsvlm-chat-") as folder:
        for place in terminal.lines("image path or URL: "):
            if place.lower() == NEXT_IMAGE:
                continue
            try:
                conversation = _opened(place, open_image, Path(folder))
            except DataError as error:
                if not terminal.source.isatty():
                    # the lines that follow are prompts about it, and no images
                    raise
                terminal.complain(error)
                continue
            if not _talk(conversation, terminal):
                return


def _talk(conversation: Conversation, terminal: Terminal) -> bool:
    """Answer prompts about one image; True when another image is to follow, False at the end."""
    for prompt in terminal.lines("prompt: "):
        if prompt.lower() == NEXT_IMAGE:
            return True
        try:
            for piece in conversation.ask(prompt):
                print(piece, end="", file=terminal.answers, flush=True)
            print(file=terminal.answers, flush=True)
        except DataError as error:
            terminal.complain(f'{error}; "{NEXT_IMAGE}" begins anew with an image')
    return False


def _opened(place: str, open_image: Callable[[Path], Conversation], folder: Path) -> Conversation:
    if not is_url(place):
        path = Path(place).expanduser()
        if not path.exists():
            # there is no record here whose path could be checked
            raise DataError(f"{place} does not exist: give the path or the address of an image.")
        return open_image(path)
    file = folder / "image"
    fetch_image(place, file)
    try:
        return open_image(file)
    except DataError as error:
        # the address is what the user knows, not where the file lay for a moment
        raise DataError(str(error).replace(str(file), without_secrets(place))) from None
