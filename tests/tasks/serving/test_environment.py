"""The environment that a server keeps; its restart without the rest is tested with `serve`."""

import os

import pytest

from tasks.serving.environment import PIPE_VARIABLE, filter_environment, login_from_pipe


@pytest.mark.parametrize(
    "name",
    ["RSVLM_SERVE_LOGIN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY",
     "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN", "OPENAI_API_KEY", "PREFECT_API_KEY",
     "PREFECT_API_DATABASE_CONNECTION_URL", "GITHUB_TOKEN", "AZURE_CLIENT_SECRET", "HTTPS_PROXY",
     "GOOGLE_APPLICATION_CREDENTIALS", "PGPASSWORD", "MY_OWN_THING", "PYTHON_KEYRING_PASSWORD", "LANGCHAIN_API_KEY",
     "NVIDIA_API_KEY"],
)  # fmt: skip
def test_secrets_are_dropped(name):
    assert filter_environment({name: "x"}) == {}


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "TMPDIR", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_CACHE",
     "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "PYTHONPATH", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "LC_ALL",
     "XDG_CACHE_HOME"],
)  # fmt: skip
def test_needed_variables_are_kept(name):
    assert filter_environment({name: "x"}) == {name: "x"}


def test_a_login_is_read_from_the_pipe_once(monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"ana:a:b")
    os.close(writing)
    monkeypatch.setenv(PIPE_VARIABLE, str(reading))
    assert login_from_pipe() == ("ana", "a:b")
    assert login_from_pipe() is None
