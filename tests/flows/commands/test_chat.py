import subprocess
import sys

from PIL import Image


def test_chat_works_through_a_pipe_with_one_model_for_several_images(tiny_model_dir, tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 20), "green").save(tmp_path / name)
    typed = "nowhere.png\na.png\nIs there a road?\nWhere?\nexit\nb.png\nIs there a road?\nstop\nnot read\n"
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "chat", "--model", str(tiny_model_dir), "--max-new-tokens", "3"],
        input=typed,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert "error: nowhere.png does not exist" in done.stderr


def test_a_directory_without_a_model_ends_with_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "chat", "--model", str(tmp_path)], input="", capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("error: ")


def test_what_is_no_text_in_a_pipe_is_no_accident(tiny_model_dir, tmp_path):
    Image.new("RGB", (20, 20), "green").save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "chat", "--model", str(tiny_model_dir), "--max-new-tokens", "2"],
        input=b"gr\xfcn.png\na.png\nIst es gr\xfcn?\n",
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"does not exist" in done.stderr and done.stdout.count(b"\n") == 1
