"""The process that runs vLLM: messages, errors and its end, with a real child whose vLLM is a fake."""

import gc
import io
import sys
from pathlib import Path

import pytest

from tasks.errors import ConfigError, ModelError
from tasks.inference.engines import vllm_child, vllm_process
from tasks.inference.engines.vllm_child import read_message, write_message
from tasks.inference.engines.vllm_process import VllmProcess, about, find_python

ECHO = f"""
import sys
sys.path.insert(0, {str(Path(vllm_child.__file__).parent)!r})
from vllm_child import read_message, write_message
while (message := read_message(sys.stdin.buffer)) is not None:
    header, data = message
    if header["do"] == "die":
        sys.exit("no memory left")
    if header["do"] == "garbage":
        print("INFO loading the model", flush=True)
    elif header["do"] == "hang":
        sys.stdin.buffer.read()
    elif header["do"] == "fail":
        write_message(sys.stdout.buffer, {{"error": "ValueError: no such model"}})
    else:
        write_message(sys.stdout.buffer, {{"got": header["values"], "length": len(data)}})
"""


@pytest.fixture
def process(tmp_path):
    (tmp_path / "echo.py").write_text(ECHO)
    started = VllmProcess(Path(sys.executable), tmp_path / "echo.py")
    yield started
    started.end()


def test_a_message_is_read_as_it_was_written():
    stream = io.BytesIO()
    write_message(stream, {"do": "generate"}, b"\x00\xff", b"RSVLMIPC")
    write_message(stream, {"do": "about"})
    stream.seek(0)
    assert read_message(stream) == ({"do": "generate", "bytes": 10}, b"\x00\xffRSVLMIPC")
    assert read_message(stream) == ({"do": "about", "bytes": 0}, b"")
    assert read_message(stream) is None


@pytest.mark.parametrize("size", [3, 10, 20, 33])
def test_a_message_that_is_cut_off_is_an_error(size):
    stream = io.BytesIO()
    write_message(stream, {"do": "about"}, b"12345")
    with pytest.raises(ValueError):
        read_message(io.BytesIO(stream.getvalue()[:size]))


def test_a_request_has_a_reply(process):
    for values in (["é", 1], [2]):
        reply = process.ask({"do": "echo", "values": values}, [b"ab", b"c" * 1_000_000], limit_s=60)
        assert (reply["got"], reply["length"]) == (values, 1_000_002)


@pytest.mark.parametrize(
    ("do", "limit_s", "reason"),
    [
        ("die", None, r"ended with 1: .*transformers\.\nno memory left$"),
        ("garbage", None, "wrote something other than answers .*INFO"),
        ("hang", 0.5, "gave no answer in 0.5 s"),
        ("fail", None, r"failed \(ValueError: no such model\)"),
    ],
)
def test_a_child_that_fails_gives_one_error(process, do, limit_s, reason):
    with pytest.raises(ModelError, match=reason):
        process.ask({"do": do}, limit_s=limit_s)


def test_a_child_ends_with_its_object(tmp_path):
    (tmp_path / "echo.py").write_text(ECHO)
    process = VllmProcess(Path(sys.executable), tmp_path / "echo.py")
    process.ask({"do": "echo", "values": []}, limit_s=60)
    child = process._child
    # not before: a caught exception of another test may still hold a frame
    ended = process.end
    del process
    gc.collect()
    assert not ended.alive
    assert child.wait(10) is not None


def test_the_setting_comes_before_the_environment_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("RSVLM_VLLM_PYTHON", sys.executable)
    assert find_python(None) == Path(sys.executable)
    with pytest.raises(ConfigError, match=r"inference\.vllm_python names .*no program"):
        find_python(str(tmp_path / "none"))


def test_no_environment_at_all_is_an_error(monkeypatch):
    monkeypatch.delenv("RSVLM_VLLM_PYTHON", raising=False)
    monkeypatch.setattr(vllm_process, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"docs/answering\.md.*inference\.vllm_python"):
        find_python(None)


def test_an_environment_without_vllm_is_an_error():
    with pytest.raises(ConfigError, match="vllm is not installed in this environment"):
        about(Path(sys.executable))
