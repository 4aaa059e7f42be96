import importlib.util

import pytest

from tasks.errors import ConfigError
from tasks.inference.predict import predict

MISSING = importlib.util.find_spec("vllm") is None


@pytest.mark.skipif(not MISSING, reason="vLLM is installed")
def test_without_vllm_the_engine_is_refused_before_anything_is_written(request_for, records, tmp_path):
    with pytest.raises(ConfigError, match=r"vLLM is not installed.*inference\.engine"):
        predict(request_for(records, config={"engine": "vllm"}))
    assert not (tmp_path / "out").exists()
