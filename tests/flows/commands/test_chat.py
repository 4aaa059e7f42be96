import subprocess
import sys

import pytest
from PIL import Image

from flows.cli import main

TYPED = b"nowhere.png\na.png\nIs there a road?\nWhere?\nexit\ngr\xfcn.png\nb.png\nIst es gr\xfcn?\nstop\nnot read\n"


@pytest.fixture(scope="module")
def chatted(tiny_model_dir, tmp_path_factory):
    """A chat about two images through a pipe, part of which is no text."""
    folder = tmp_path_factory.mktemp("chat")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20), "green").save(folder / name)
    command = [sys.executable, "-m", "flows.cli", "chat", "--model", str(tiny_model_dir), "--max-new-tokens", "3"]
    return subprocess.run(command, input=TYPED, cwd=folder, capture_output=True)


def test_chat_works_through_a_pipe_with_one_model_for_several_images(chatted):
    assert chatted.returncode == 0, chatted.stderr
    assert chatted.stdout.count(b"\n") == 3


def test_only_what_went_wrong_is_said_beside_the_answers(chatted):
    said = [line.split(" does not exist")[0] for line in chatted.stderr.decode().splitlines()]
    assert said == ["error: nowhere.png", "error: gr\ufffdn.png"]


def test_a_directory_without_a_model_ends_with_2(tmp_path, capsys):
    assert main(["chat", "--model", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
