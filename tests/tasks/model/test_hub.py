"""A model is a directory or a name of the hub."""

from pathlib import Path

import pytest

from tasks.errors import ModelError
from tasks.model.hub import find_model


def test_a_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_model("model") == tmp_path / "model"


@pytest.mark.parametrize("name", ["/no/such/model", "model", "a/b/c", ""])
def test_what_is_neither_directory_nor_name_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="is no directory: set"):
        find_model(name)


def test_a_model_that_the_hub_does_not_give_is_refused(tmp_path: Path) -> None:
    import huggingface_hub.constants as hub

    before = hub.HF_HUB_OFFLINE, hub.HF_HUB_CACHE
    hub.HF_HUB_OFFLINE, hub.HF_HUB_CACHE = True, str(tmp_path)
    try:
        with pytest.raises(ModelError, match="cannot be had from the hub"):
            find_model("nobody/no-such-model")
    finally:
        hub.HF_HUB_OFFLINE, hub.HF_HUB_CACHE = before
