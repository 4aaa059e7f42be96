import subprocess
import sys
from io import BytesIO, TextIOWrapper

import pytest
from PIL import Image

from flows.cli import main

TYPED = b"a.png\nIs there a road?\nWhere?\nexit\nb.png\nIst es gr\xfcn?\nstop\nnot read\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20), "green").save(folder / name)
    return folder


@pytest.fixture
def chat(folder, monkeypatch, capfdbinary):
    """A function (model, typed bytes) -> exit code, output and errors of a chat in this process."""
    monkeypatch.chdir(folder)

    def run(model, typed):
        # what writing the model printed
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(typed), encoding="utf-8"))
        code = main(["chat", "--max-new-tokens", "3", "--model", str(model)])
        return code, *capfdbinary.readouterr()

    return run


def test_a_piped_chat_answers_about_several_images(tiny_model_dir, folder):
    """Part of the input is not valid UTF-8."""
    command = [sys.executable, "-m", "flows.cli", "chat", "--max-new-tokens", "3", "--model", str(tiny_model_dir)]
    chatted = subprocess.run(command, input=TYPED, cwd=folder, capture_output=True)
    assert (chatted.returncode, chatted.stderr) == (0, b"")
    assert chatted.stdout.count(b"\n") == 3


def test_a_model_without_dialogues_answers_each_prompt_alone(chat, tiny_family_dir):
    code, out, err = chat(tiny_family_dir("paligemma"), TYPED)
    assert (code, out.count(b"\n")) == (0, 3)
    assert err == b"PaliGemma takes no dialogues: each prompt is asked alone.\n"


def test_a_missing_image_ends_a_piped_chat_with_2(chat, tiny_model_dir):
    code, out, err = chat(tiny_model_dir, b"a.png\nWhere?\nexit\ngr\xfcn.png\nWhere?\nHow many?\n")
    assert (code, out.count(b"\n")) == (2, 1)
    assert err.decode() == ("error: gr\ufffdn.png does not exist: give the path or URL of an image.\n")


def test_a_directory_without_a_model_ends_with_2(tmp_path, capsys):
    assert main(["chat", "--model", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
