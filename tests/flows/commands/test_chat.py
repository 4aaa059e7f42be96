import subprocess
import sys

import pytest
from PIL import Image

from flows.cli import main

TYPED = b"a.png\nIs there a road?\nWhere?\nexit\nb.png\nIst es gr\xfcn?\nstop\nnot read\n"
COMMAND = [sys.executable, "-m", "flows.cli", "chat", "--max-new-tokens", "3", "--model"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20), "green").save(folder / name)
    return folder


def test_chat_works_through_a_pipe_with_one_model_for_several_images(tiny_model_dir, folder):
    """Part of what the pipe brings is no text."""
    chatted = subprocess.run([*COMMAND, str(tiny_model_dir)], input=TYPED, cwd=folder, capture_output=True)
    assert (chatted.returncode, chatted.stderr) == (0, b"")
    assert chatted.stdout.count(b"\n") == 3


def test_an_image_that_is_missing_ends_a_pipe_with_2_and_its_prompts_are_no_images(tiny_model_dir, folder):
    typed = b"a.png\nWhere?\nexit\ngr\xfcn.png\nWhere?\nHow many?\n"
    chatted = subprocess.run([*COMMAND, str(tiny_model_dir)], input=typed, cwd=folder, capture_output=True)
    assert (chatted.returncode, chatted.stdout.count(b"\n")) == (2, 1)
    assert chatted.stderr.decode() == (
        "error: gr\ufffdn.png does not exist: give the path or the address of an image.\n"
    )


def test_a_directory_without_a_model_ends_with_2(tmp_path, capsys):
    assert main(["chat", "--model", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
