"""The model families, and the one of a directory.

A family from outside the package is an entry point of the group `rsvlm.model_families` that names a ModelFamily.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from tasks.errors import ModelError, shortened
from tasks.manifests import folder_digest
from tasks.model.configuration import CONFIG, read_model_config
from tasks.model.family import ModelFamily
from tasks.model.shape import ModelShape

GROUP = "rsvlm.model_families"


@cache
def families() -> tuple[ModelFamily, ...]:
    """All families: those of installed packages first, so that they can replace one of rsvlm's."""
    from tasks.model.chat.members import MEMBERS
    from tasks.model.llava.family import FAMILY

    return (*(point.load() for point in entry_points(group=GROUP)), FAMILY, *MEMBERS)


def family_of(folder: Path) -> ModelFamily:
    """The family of a model directory, by its config.json; raises ModelError if it is missing or of no family."""
    return family_for(read_model_config(folder), folder)


def family_for(config: Mapping[str, object], folder: Path) -> ModelFamily:
    """The family of a config.json, which is in `folder`; raises ModelError if it is of none."""
    found = _recognised(config)
    if found is None:
        names = ", ".join(family.name for family in families())
        raise ModelError(
            f"{folder} holds a model of type {shortened(config.get('model_type'))}, and rsvlm takes {names}: give a "
            "directory of one of these."
        )
    return found


def model_digest(folder: Path) -> str:
    """SHA-256 in hex over all files that decide a model's answers, also of a directory that is of no family."""
    found = _recognised(read_model_config(folder)) if (folder / CONFIG).is_file() else None
    return found.digest(folder) if found else folder_digest(folder)


def _recognised(config: Mapping[str, object]) -> ModelFamily | None:
    return next((family for family in families() if family.recognises(config)), None)


def published_family(name: str) -> ModelFamily | None:
    """The family of a published model by its name on the hub; None for names that no family knows."""
    return next((family for family in families() if family.published_shape(name)), None)


def published_shape(name: str) -> ModelShape | None:
    """The shape of a published model by its name on the hub; None for names that no family knows."""
    family = published_family(name)
    return family.published_shape(name) if family else None
