import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks.errors import DataError
from tasks.serving.terminal_chat import Terminal, chat


class Parrot:
    """A conversation that says where it is and how far: what the loop does with it is what is tested."""

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
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(b"")


def said(typed, interactive=False):
    source = io.StringIO(typed)
    source.isatty = lambda: interactive
    terminal = Terminal(source, io.StringIO(), io.StringIO())
    chat(Parrot, terminal)
    return terminal.answers.getvalue().splitlines(), terminal.messages.getvalue(), source.read()


def test_prompts_after_an_image_are_answered_one_a_line(place):
    assert said("a.png\nhello\nagain\n")[0] == ["a.png 1: hello", "a.png 2: again"]


def test_exit_goes_on_to_the_next_image_with_a_new_conversation(place):
    assert said("a.png\nhello\nexit\nb.png\nhello\n")[0] == ["a.png 1: hello", "b.png 1: hello"]


@pytest.mark.parametrize("typed", ["stop\na.png\n", "a.png\nstop\nhello\n", "a.png\nexit\nstop\nhello\n"])
def test_stop_quits_wherever_it_is_said(place, typed):
    answers, messages, unread = said(typed)
    assert (answers, messages) == ([], "") and unread


NOWHERE = "nowhere.png does not exist: give the path or the address of an image."


def test_a_wrong_image_path_is_said_to_a_person_and_asked_for_again(place):
    answers, messages, _ = said("nowhere.png\na.png\nhello\n", interactive=True)
    assert answers == ["a.png 1: hello"] and f": error: {NOWHERE}\n" in messages


def test_a_wrong_image_path_ends_a_pipe_whose_prompts_would_be_taken_for_images(place):
    with pytest.raises(DataError, match=NOWHERE):
        said("a.png\nhello\nexit\nnowhere.png\na.png\nhello\n")


def test_a_prompt_that_cannot_be_answered_does_not_end_the_chat(place):
    answers, messages, _ = said("a.png\ntoo long\nhello\n")
    assert answers == ["a.png 2: hello"] and "9999 tokens" in messages


def test_empty_lines_are_passed_over(place):
    assert said("\n a.png \n\n  \nhello\n")[0] == ["a.png 1: hello"]


def test_a_pipe_hears_answers_alone_and_a_person_is_told_what_to_type(place):
    assert said("a.png\nhello\n")[1] == ""
    assert said("a.png\nhello\n", interactive=True)[1] == "image path or URL: prompt: prompt: "


def test_the_last_line_counts_without_its_line_break(place):
    assert said("a.png\nhello")[0] == ["a.png 1: hello"]


def test_an_address_whose_file_is_no_image_is_named_by_its_address(place, tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"no image")

        def log_message(self, *_):
            pass

    def refuse(image):
        raise DataError(f"{image} is no readable image")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.png"
        terminal = Terminal(io.StringIO(f"{address}\n"), io.StringIO(), io.StringIO())
        with pytest.raises(DataError, match=f"^{address} is no readable image$"):
            chat(refuse, terminal)
        server.shutdown()
