"""The names of all settings, and the names that a misspelled one comes closest to."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tasks.settings.experiment import ExperimentConfig

PAGE = "docs/parameters.md"
# similarity of two names, 0 to 1, from which one is taken for a misspelling of the other; difflib's own default
ALIKE = 0.6
# how much the section's name counts, which decides between equal names
SECTION_SHARE = 0.05
SHOWN = 3


def model_of(field: FieldInfo) -> type[BaseModel]:
    """The model of a field that is a section or a list of sections."""
    [model] = models_in(field.annotation)
    return model


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The sections that a type names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def setting_paths(section: type[BaseModel] = ExperimentConfig, before: str = "") -> Iterator[str]:
    """The dotted path of every setting below a section, such as training.lora_r."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_paths(field.annotation, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def name_hint(path: str, beside: Iterable[str] = ()) -> str:
    """What to write for a setting that does not exist: the likely one, or the nearest three and the page of them all.

    `beside` has the names in the section where it was looked for.
    """
    section = path.rpartition(".")[0]
    paths = dict.fromkeys([*(f"{section}.{name}" if section else name for name in beside), *setting_paths()])
    likeness = {known: _likeness(path, known) for known in paths}
    nearest = sorted(paths, key=lambda known: -likeness[known])
    best = likeness[nearest[0]]
    if best >= ALIKE:
        # the shallowest of equal names: data.seed before data.sample.seed
        equal = sorted((known for known in nearest if likeness[known] == best), key=lambda known: known.count("."))
        return f"did you mean {_either(equal[:SHOWN])}?"
    return f"the nearest are {_either(nearest[:SHOWN], 'and')}; {PAGE} describes all settings."


def _likeness(path: str, known: str) -> float:
    section, _, name = path.rpartition(".")
    of_section, _, of_name = known.rpartition(".")
    return _similarity(of_name, name) + SECTION_SHARE * _similarity(of_section, section)


def _similarity(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _either(names: Sequence[str], word: str = "or") -> str:
    return f" {word} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
