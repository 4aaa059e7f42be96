"""A generic family refuses the settings of LLaVA 1.5, and uses a base as it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tasks.errors import ConfigError
from tasks.manifests import folder_digest
from tasks.model.families import family_of
from tasks.settings import ModelConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vision_tower": "openai/clip-vit-large-patch14-336"}, "leave it empty"),
        ({"mm_vision_select_layer": -1}, "leave it -2"),
        ({"image_aspect_ratio": "square"}, "leave it pad"),
    ],
)
def test_settings_of_llava_are_refused(
    tiny_family_dir: Callable[[str], Path], tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    folder = tiny_family_dir("qwen2_5_vl")
    family, config = family_of(folder), ModelConfig.model_validate(settings)
    for use in (family.require_settings, family.training_processor):
        with pytest.raises(ConfigError, match=rf"^model\.\w+ is .*is a Qwen2\.5-VL: {message}\.$"):
            use(folder, config)
    with pytest.raises(ConfigError, match=message):
        family.configured_base(folder, config, tmp_path)


def test_a_base_is_used_as_it_is(folder: Path, tmp_path: Path) -> None:
    family = family_of(folder)
    base = family.configured_base(folder, ModelConfig(), tmp_path)
    assert base.path == folder and base.sha256 == folder_digest(folder) == family.digest(folder)
    assert family.training_processor(folder, ModelConfig()).image_token_id >= 0
    assert not any(tmp_path.iterdir())


def test_qwens_text_has_one_position_for_each_axis(tiny_family_dir: Callable[[str], Path]) -> None:
    text = torch.tensor([[3, 4], [7, 8]])
    assert family_of(tiny_family_dir("qwen3_vl")).positions(text).tolist() == [text.tolist()] * 3
    assert torch.equal(family_of(tiny_family_dir("smolvlm")).positions(text), text)


def test_a_card_names_family_and_template(folder: Path) -> None:
    about = family_of(folder).about("transformers")
    assert about.family == family_of(folder).name and "apply_chat_template" in about.loading
