"""The sizes of published models give the numbers of parameters that the hub shows for them."""

import pytest

from tasks.model.chat.published import CONFIGS
from tasks.model.families import published_shape

PARAMETERS = {
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
    "llava-hf/llava-onevision-qwen2-7b-ov-hf": 8_030_348_832,
}


def test_all_are_known() -> None:
    assert PARAMETERS.keys() == CONFIGS.keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_on_the_hub(name: str) -> None:
    shape = published_shape(name)
    assert shape is not None and shape.parameters == PARAMETERS[name]


def test_an_unknown_name_has_no_shape() -> None:
    assert published_shape("someone/model") is None
