"""What is refused before vLLM is started."""

import json
import sys
from pathlib import Path

import pytest

from tasks.errors import ModelError
from tasks.inference.engines.vllm_checks import require
from tasks.settings import InferenceConfig


def test_a_family_whose_images_vllm_is_not_given_is_refused_before_a_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    with pytest.raises(ModelError, match=r"is a Qwen2\.5-VL, whose images the engine vllm does not hand over"):
        require(InferenceConfig(engine="vllm", vllm_python=sys.executable), tmp_path)
