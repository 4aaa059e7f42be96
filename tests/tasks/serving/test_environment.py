"""What a server keeps of its environment; that it begins anew without the rest is tested with `serve`."""

import os

import pytest

from tasks.serving.environment import PIPE_VARIABLE, kept_of, piped_login


@pytest.mark.parametrize(
    "name",
    ["RSVLM_SERVE_LOGIN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY",
     "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "OPENAI_API_KEY", "PREFECT_API_KEY",
     "PREFECT_API_DATABASE_CONNECTION_URL", "GITHUB_TOKEN", "AZURE_CLIENT_SECRET", "HTTPS_PROXY",
     "GOOGLE_APPLICATION_CREDENTIALS", "PGPASSWORD", "MY_OWN_THING", "PYTHON_KEYRING_PASSWORD", "LANGCHAIN_API_KEY",
     "NVIDIA_API_KEY"],
)  # fmt: skip
def test_no_secret_is_kept(name):
    assert kept_of({name: "x"}) == {}


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "TMPDIR", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_CACHE",
     "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "PYTHONPATH", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "LC_ALL",
     "XDG_CACHE_HOME"],
)  # fmt: skip
def test_what_a_server_needs_is_kept(name):
    assert kept_of({name: "x"}) == {name: "x"}


def test_a_login_comes_through_a_pipe_once(monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"ana:a:b")
    os.close(writing)
    monkeypatch.setenv(PIPE_VARIABLE, str(reading))
    assert piped_login() == ("ana", "a:b")
    assert piped_login() is None
