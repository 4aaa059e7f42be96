"""Image-blind baselines of captions, next to which a model's CIDEr is shown."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import PurePosixPath

import numpy as np

from tasks.evaluation.caption_metrics import CaptionSet
from tasks.evaluation.controls.source_controls import SourceControls
from tasks.evaluation.metrics.caption_clusters import CaptionClusters
from tasks.evaluation.metrics.caption_consensus import best_caption
from tasks.evaluation.metrics.cider import CaptionVector, CiderSpace, mean_similarity, similarity
from tasks.evaluation.scores import Controls
from tasks.image_paths import image_key
from tasks.sources import SOURCES, source_of

NUMBERED = re.compile(r"(.*[^\d_ -])[_ -]?\(?\d+\)?")
# Enough to find a consensus; NWPU's 22,000 training images would cost a gigabyte and change no control.
MOST_IMAGES = 10_000
MOST_CAPTIONS = 10_000
CONTROL_SCORES = ("train_consensus", "constant", "shuffled_images")
HUMAN_SCORES = ("leave_one_out", "leave_one_out_model")
MODEL = "model"


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
    space = CiderSpace(known.values())
    constant = _consensus(space, known, images)
    groups: dict[str | None, list[str]] = defaultdict(list)
    for image in images:
        groups[class_of(image)].append(image)
    classes = [class_of(image) for image in captions.images]
    by_class = {
        name: _consensus(space, known, groups[name]) for name in dict.fromkeys(classes) if name and name in groups
    }
    unknown = [index for index, name in enumerate(classes) if name not in by_class]
    chosen = [by_class.get(name or "", constant) for name in classes]
    if unknown:
        clusters = CaptionClusters(known)
        of_cluster = [_consensus(space, known, members) for members in clusters.members]
        nearest = clusters.nearest([captions.references[index] for index in unknown])
        for index, cluster in zip(unknown, nearest, strict=True):
            chosen[index] = of_cluster[cluster]
    return chosen, constant


def _consensus(space: CiderSpace, known: Mapping[str, Sequence[str]], images: Sequence[str]) -> str:
    return best_caption(space, evenly([text for image in images for text in known[image]], MOST_CAPTIONS))


def evenly(items: Sequence[str], most: int) -> list[str]:
    """At most `most` of the items, evenly spaced and in order."""
    if len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


def _shuffled(captions: CaptionSet, seed: int) -> list[str]:
    count = len(captions.images)
    if count < 2:
        return []
    # one random cycle through all images: no image keeps its own caption
    cycle = np.random.default_rng(seed).permutation(count)
    partner = np.empty(count, dtype=int)
    partner[cycle] = np.roll(cycle, 1)
    return [captions.hypotheses[other] for other in partner]


def _count_copies(references: Sequence[Sequence[str]]) -> dict[str, int]:
    return {
        "leave_one_out_images": sum(len(set(group)) > 1 for group in references),
        "copied_references_images": sum(len(set(group)) < len(group) for group in references),
    }


def _scores_by_image(captions: CaptionSet, given: Mapping[str, Sequence[str]]) -> dict[str, list[float]]:
    """CIDEr of each control's captions by image, and the model's; empty for a control without captions.

    Image by image, so that the references' vectors are computed once.
    """
    scores: dict[str, list[float]] = {name: [] for name in (MODEL, *CONTROL_SCORES, *HUMAN_SCORES)}
    if not captions.has_cider:
        return scores
    space = captions.space
    for index, group in enumerate(captions.references):
        vectors = {reference: space.vector(reference) for reference in group}
        references = [vectors[reference] for reference in group]
        for name, hypotheses in given.items():
            if hypotheses:
                scores[name].append(mean_similarity(space.vector(hypotheses[index]), references))
        # a copy agrees with its original, which says nothing about whether two people agree
        if len(distinct := list(vectors.values())) > 1:
            scores["leave_one_out"].append(_leave_one_out(distinct))
            scores["leave_one_out_model"].append(mean_similarity(space.vector(captions.hypotheses[index]), distinct))
    return scores


def _leave_one_out(references: Sequence[CaptionVector]) -> float:
    pairs = [similarity(one, other) for one, other in permutations(references, 2)]
    return sum(pairs) / len(pairs)
