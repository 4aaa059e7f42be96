"""Image-blind baselines of captions, next to which a model's CIDEr is shown."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.controls.source_controls import SourceControls
from tasks.evaluation.metrics.caption_clusters import CaptionClusters
from tasks.evaluation.metrics.caption_consensus import best_captions
from tasks.evaluation.metrics.cider import pair_similarities
from tasks.evaluation.metrics.ngram_rows import sums_by
from tasks.evaluation.metrics.text_pairs import TextPairs
from tasks.evaluation.scores import Controls
from tasks.evaluation.uncertainty.moments import Floats
from tasks.image_paths import image_key
from tasks.sources import SOURCES, source_of

NUMBERED = re.compile(r"(.*[^\d_ -])[_ -]?\(?\d+\)?")
# Enough to find a consensus; NWPU's 22,000 training images would cost a gigabyte and change no control.
MOST_IMAGES = 10_000
MOST_CAPTIONS = 10_000
CONTROL_SCORES = ("train_consensus", "constant", "shuffled_images")
HUMAN_SCORES = ("leave_one_out", "leave_one_out_model")
MODEL = "model"

Item = TypeVar("Item")


def class_of(image: str) -> str | None:
    """The scene class in an image's path: the file name before its number, else the folder of the class; or None.

    "NWPU/NWPU_images/airport/airport_673.jpg" and "RSICD/images/airport_1.jpg" have the class airport,
    "UCM/images/363.jpg" has none. A single letter before the number is a series, not a class.
    """
    path = PurePosixPath(image_key(image))
    named = NUMBERED.fullmatch(path.stem)
    if named and len(named[1]) > 1:
        return named[1]
    source = SOURCES.get(source_of(image))
    folder = str(path.parent.parent)
    return path.parent.name if source and folder == source.folder else None


def caption_controls(captions: CaptionSet, training: Mapping[str, Sequence[str]] | None, seed: int) -> SourceControls:
    """Controls of one source, as CIDEr fractions under the test set's document frequency, and their statistics.

    `train_consensus`, the oracle class caption: each image gets the training caption of its true class with the highest
    mean CIDEr against the other training captions of the class; where the file name has no class, or training has no
    image of it, the same of the cluster of training captions that is nearest to the image's references.
    `constant`: every image gets that caption of the whole source. `shuffled_images`: the model's own captions, each
    given to another image. `verbatim_train_share`: share of captions that are in the training set word for word.
    `training` is captions in PTB tokens by image; without it the controls that need it are None.

    `leave_one_out`, human references: each distinct reference against the image's other distinct ones, over the
    `leave_one_out_images` images that have at least two; `leave_one_out_model` is the model's own score on the same
    images against the same references. Both are None without such images. `copied_references_images` counts the images
    with two or more equal references.
    """
    given: dict[str, Sequence[str]] = {MODEL: captions.hypotheses, "shuffled_images": _shuffled(captions, seed)}
    constant, share = None, None
    if training:
        seen = {text for group in training.values() for text in group}
        share = sum(text in seen for text in captions.hypotheses) / len(captions.hypotheses)
        given["train_consensus"], constant = _from_training(captions, training)
        given["constant"] = [constant] * len(captions.images)
    scores = _scores_by_image(captions, given)
    controls: Controls = {
        **{name: float(np.mean(values)) if values else None for name, values in scores.items() if name != MODEL},
        **_count_copies(captions.references),
        "verbatim_train_share": share,
        "constant_caption": constant,
        "distinct_captions": len(set(captions.hypotheses)),
    }
    own = scores[MODEL]
    statistics = {name: np.array([own, scores[name], [1.0] * len(own)]).T for name in CONTROL_SCORES if scores[name]}
    return SourceControls(controls, statistics)


def _from_training(captions: CaptionSet, training: Mapping[str, Sequence[str]]) -> tuple[list[str], str]:
    """The consensus caption for each image, and the one of the whole source."""
    images = evenly(list(training), MOST_IMAGES)
    known = {image: training[image] for image in images}
    groups: dict[str | None, list[str]] = defaultdict(list)
    for image in images:
        groups[class_of(image)].append(image)
    classes = [class_of(image) for image in captions.images]
    names = [name for name in dict.fromkeys(classes) if name and name in groups]
    unknown = [index for index, name in enumerate(classes) if not name or name not in groups]
    clusters = CaptionClusters(known) if unknown else None
    members = clusters.members if clusters else []
    constant, *best = _consensus(known, [images, *(groups[name] for name in names), *members])
    by_class, of_cluster = dict(zip(names, best, strict=False)), best[len(names) :]
    chosen = [by_class.get(name or "", constant) for name in classes]
    if clusters:
        nearest = clusters.nearest([captions.references[index] for index in unknown])
        for index, cluster in zip(unknown, nearest, strict=True):
            chosen[index] = of_cluster[cluster]
    return chosen, constant


def _consensus(known: Mapping[str, Sequence[str]], groups: Sequence[Sequence[str]]) -> list[str]:
    """The consensus caption of each group of images."""
    following = count()
    numbers = {image: [next(following) for _ in texts] for image, texts in known.items()}
    chosen = [evenly([number for image in group for number in numbers[image]], MOST_CAPTIONS) for group in groups]
    return best_captions(list(known.values()), chosen)


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spaced and in order."""
    if len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


def _shuffled(captions: CaptionSet, seed: int) -> list[str]:
    images = len(captions.images)
    if images < 2:
        return []
    # one random cycle through all images: no image keeps its own caption
    cycle = np.random.default_rng(seed).permutation(images)
    partner = np.empty(images, dtype=int)
    partner[cycle] = np.roll(cycle, 1)
    return [captions.hypotheses[other] for other in partner]


def _count_copies(references: Sequence[Sequence[str]]) -> dict[str, int]:
    return {
        "leave_one_out_images": sum(len(set(group)) > 1 for group in references),
        "copied_references_images": sum(len(set(group)) < len(group) for group in references),
    }


def _scores_by_image(captions: CaptionSet, given: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """CIDEr of each control's captions by image, and the model's; empty for a control without captions."""
    scores: dict[str, list[float]] = {name: [] for name in (MODEL, *CONTROL_SCORES, *HUMAN_SCORES)}
    if not captions.has_cider:
        return scores
    names = [name for name, hypotheses in given.items() if hypotheses]
    pairs = TextPairs(captions.references, [given[name] for name in names], among=True)
    similarities = pair_similarities(pairs)
    for number, name in enumerate(names):
        scores[name] = pairs.mean_over_references(similarities, number).tolist()
    return scores | _human_scores(pairs, similarities, names.index(MODEL))


def _human_scores(pairs: TextPairs, similarities: Floats, model: int) -> dict[str, list[float]]:
    """Each distinct reference against the others of its image, and the model against all of them.

    A copy agrees with its original, which says nothing about whether two people agree.
    """
    human = (pairs.one < pairs.references) & (pairs.one != pairs.other)
    said = pairs.references + model * pairs.documents
    own = (pairs.one >= said) & (pairs.one < said + pairs.documents)
    document = pairs.document[pairs.one]
    agreed = np.bincount(document[human], minlength=pairs.documents) > 0
    found = {}
    for name, chosen in zip(HUMAN_SCORES, (human, own), strict=True):
        sums = sums_by(document[chosen], similarities[chosen], pairs.documents)
        counts = np.bincount(document[chosen], minlength=pairs.documents)
        found[name] = (sums[agreed] / counts[agreed]).tolist()
    return found
