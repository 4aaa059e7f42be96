"""Families are found by config.json; one can come from another package, in one file."""

import json
import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path

import pytest

from tasks.errors import ModelError
from tasks.model.families import GROUP, families, family_of, model_digest

# all that a package needs to add a family that transformers knows
PACKAGE = """
from tasks.model.chat.family import ChatFamily
from tasks.model.chat.names import llava_names

AYA_VISION = ChatFamily("Aya Vision", ("aya_vision",), llava_names())
"""


@pytest.fixture
def another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution with an entry point, in a folder on sys.path."""
    site = tmp_path / "site"
    info = site / "other_families-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "other_families.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-families\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\naya = other_families:AYA_VISION\n")
    monkeypatch.syspath_prepend(site)
    invalidate_caches()
    families.cache_clear()
    yield site
    families.cache_clear()
    sys.modules.pop("other_families", None)


def _model(folder: Path, model_type: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


def test_a_family_from_another_package_is_found(another_package: Path, tmp_path: Path) -> None:
    folder = _model(tmp_path / "model", "aya_vision")
    assert family_of(folder).name == "Aya Vision"
    assert families()[0].name == "Aya Vision"
    assert model_digest(folder) == family_of(folder).digest(folder)


def test_a_model_of_no_family_is_refused_with_the_families_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model of type 'aya_vision', and rsvlm takes LLaVA 1\.5, Qwen2\.5-VL, .*: "):
        family_of(_model(tmp_path / "model", "aya_vision"))


@pytest.mark.parametrize("model_type", [None, 1, ["qwen2_5_vl"], {}])
def test_a_damaged_model_type_is_of_no_family(tmp_path: Path, model_type: object) -> None:
    with pytest.raises(ModelError, match="holds a model of type"):
        family_of(_model(tmp_path / "model", model_type))


def test_names_and_model_types_are_unique() -> None:
    names = [family.name for family in families()]
    kinds = [kind for family in families() for kind in getattr(family, "model_types", ())]
    assert len(set(names)) == len(names) and len(set(kinds)) == len(kinds)
