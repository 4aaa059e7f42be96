"""Scene classes of a source's images, where their paths have them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

from tasks.evaluation.controls.caption_controls import class_of
from tasks.evaluation.scores import ClassScores, metric_value
from tasks.sources import SOURCES

T = TypeVar("T")


def group_by_class(source: str, images: Sequence[str], items: Sequence[T]) -> dict[str, list[T]]:
    """The items of each scene class, each item with its image; items about images without a class are left out.

    Empty where no path has a class, and where the classes of a source that is not in the registry have fewer than two
    images on average.
    """
    groups: dict[str, list[T]] = defaultdict(list)
    classes = {image: class_of(image) for image in images}
    for image, item in zip(images, items, strict=True):
        if name := classes[image]:
            groups[name].append(item)
    # names such as 7c0e4a31.jpg: what precedes the number is not a class
    if source not in SOURCES and 2 * len(groups) > sum(name is not None for name in classes.values()):
        return {}
    return dict(groups)


def worst_first(by_class: Mapping[str, ClassScores], metric: str) -> dict[str, ClassScores]:
    """The classes by their score, the worst first; without scores, as for a single image, by name."""
    return {name: by_class[name] for name in sorted(by_class, key=lambda name: (_score(by_class[name], metric), name))}


def _score(scores: ClassScores, metric: str) -> float:
    value = metric_value(scores, metric)
    return 0.0 if value is None else value
