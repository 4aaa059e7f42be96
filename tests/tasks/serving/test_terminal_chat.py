import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.serving.terminal_chat import Terminal, chat


class Parrot:
    """A conversation that answers with its image and the number of the prompt."""

    def __init__(self, image):
        if not image.exists():
            raise DataError(f"{image} does not exist")
        self.image, self.asked = image, 0

    def ask(self, prompt):
        self.asked += 1
        if prompt == "too long":
            raise DataError("the prompt has 9999 tokens")
        yield f"{self.image.name} {self.asked}"
        yield f": {prompt}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with two images."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(b"")


def run_chat(typed, interactive=False):
    source = io.StringIO(typed)
    source.isatty = lambda: interactive
    terminal = Terminal(source, io.StringIO(), io.StringIO())
    chat(Parrot, terminal)
    return terminal.answers.getvalue().splitlines(), terminal.messages.getvalue(), source.read()


def test_prompts_after_an_image_are_answered_one_per_line(folder):
    assert run_chat("a.png\nhello\nagain\n")[0] == ["a.png 1: hello", "a.png 2: again"]


def test_exit_starts_a_new_conversation_with_the_next_image(folder):
    assert run_chat("a.png\nhello\nexit\nb.png\nhello\n")[0] == ["a.png 1: hello", "b.png 1: hello"]


@pytest.mark.parametrize("typed", ["stop\na.png\n", "a.png\nstop\nhello\n", "a.png\nexit\nstop\nhello\n"])
def test_stop_quits_at_any_prompt(folder, typed):
    answers, messages, unread = run_chat(typed)
    assert (answers, messages) == ([], "") and unread


NOWHERE = "nowhere.png does not exist: give the path or URL of an image."


def test_a_person_is_asked_again_for_a_wrong_image_path(folder):
    answers, messages, _ = run_chat("nowhere.png\na.png\nhello\n", interactive=True)
    assert answers == ["a.png 1: hello"] and f": error: {NOWHERE}\n" in messages


def test_a_wrong_image_path_ends_a_piped_chat(folder):
    with pytest.raises(DataError, match=NOWHERE):
        run_chat("a.png\nhello\nexit\nnowhere.png\na.png\nhello\n")


def test_a_prompt_that_cannot_be_answered_does_not_end_the_chat(folder):
    answers, messages, _ = run_chat("a.png\ntoo long\nhello\n")
    assert answers == ["a.png 2: hello"] and "9999 tokens" in messages


def test_empty_lines_are_skipped(folder):
    assert run_chat("\n a.png \n\n  \nhello\n")[0] == ["a.png 1: hello"]


def test_input_prompts_are_printed_for_a_person_only(folder):
    assert run_chat("a.png\nhello\n")[1] == ""
    told = 'Ask about an image. "exit": next image; "stop", Ctrl-D or Ctrl-C: end.\n'
    assert run_chat("a.png\nhello\n", interactive=True)[1] == f"{told}image path or URL: prompt: prompt: "


def test_a_last_line_without_a_line_break_is_read(folder):
    assert run_chat("a.png\nhello")[0] == ["a.png 1: hello"]


def test_a_url_that_is_not_an_image_is_reported_by_its_url(folder, tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"no image")

        def log_message(self, *_):
            pass

    def refuse(image):
        raise DataError(f"{image} is not a readable image")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.png"
        terminal = Terminal(io.StringIO(f"{address}\n"), io.StringIO(), io.StringIO())
        with pytest.raises(DataError, match=f"^{address} is not a readable image$"):
            chat(refuse, terminal)
        server.shutdown()
