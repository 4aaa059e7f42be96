"""The settings of the vLLM engine, before it is started."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tasks.inference.engines import vllm_engine
from tasks.inference.engines.vllm_process import About
from tasks.settings import InferenceConfig


@pytest.mark.parametrize(
    ("device", "wanted", "dtype"),
    [("cuda", "auto", "bfloat16"), ("cpu", "auto", "float32"), ("cuda", "float32", "float32")],
)
def test_the_precision_is_that_of_the_device_unless_it_is_set(
    device: str, wanted: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_python", Path)
    monkeypatch.setattr(vllm_engine, "about", lambda python: About("1.0", device))
    config = InferenceConfig(engine="vllm", dtype=wanted, vllm_python="python")
    prepared = vllm_engine.prepare(SimpleNamespace(config=config, model=Path("m"), images=Path("i")))
    assert (prepared.fingerprint, prepared.dtype) == (f"vllm 1.0 {dtype} {device}", dtype)
