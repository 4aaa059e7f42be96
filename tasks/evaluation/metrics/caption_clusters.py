"""Clusters of training captions, for images whose file name has no scene class."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_WORDS = 1000
# as many as the scene classes of RSICD; small training sets have fewer
MOST_CLUSTERS = 30
IMAGES_PER_CLUSTER = 10
ROUNDS = 15
CHUNK = 1024

Vectors = NDArray[np.float32]


class CaptionClusters:
    """Clusters of training images by the words of their captions.

    k-means on unit tf-idf vectors over the thousand most frequent words, starting from images far from each other, so
    that nothing is random. `members` are the images of each cluster; no cluster is empty.
    """

    def __init__(self, training: Mapping[str, Sequence[str]]):
        images = sorted(training)
        frequency = Counter(word for image in images for word in _words(training[image]))
        kept = sorted(frequency, key=lambda word: (-frequency[word], word))[:MOST_WORDS]
        self._columns = {word: column for column, word in enumerate(kept)}
        self._idf = np.log(len(images) / np.array([frequency[word] for word in kept], dtype=np.float32))
        vectors = self._vectors([training[image] for image in images])
        centres = _spread(vectors, min(MOST_CLUSTERS, max(1, len(images) // IMAGES_PER_CLUSTER)))
        for _ in range(ROUNDS):
            belongs = np.argmax(vectors @ centres.T, axis=1)
            sums = np.zeros_like(centres)
            np.add.at(sums, belongs, vectors)
            centres = _unit(sums)
        belongs = np.argmax(vectors @ centres.T, axis=1)
        used = sorted(set(belongs.tolist()))
        self._centres = centres[used]
        self.members = [[image for image, own in zip(images, belongs, strict=True) if own == one] for one in used]

    def nearest(self, groups: Sequence[Sequence[str]]) -> list[int]:
        """The index of the cluster nearest to each group of captions (the references of an image)."""
        nearest: list[int] = []
        for start in range(0, len(groups), CHUNK):
            nearest += np.argmax(self._vectors(groups[start : start + CHUNK]) @ self._centres.T, axis=1).tolist()
        return nearest

    def _vectors(self, groups: Sequence[Sequence[str]]) -> Vectors:
        vectors = np.zeros((len(groups), len(self._columns)), dtype=np.float32)
        for row, captions in enumerate(groups):
            columns = [self._columns[word] for word in _words(captions) if word in self._columns]
            vectors[row, columns] = self._idf[columns]
        return _unit(vectors)


def _words(captions: Sequence[str]) -> set[str]:
    return {word for caption in captions for word in caption.split()}


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)


def _spread(vectors: Vectors, count: int) -> Vectors:
    """Initial centres: the vector nearest to the mean, then repeatedly the one least similar to those chosen."""
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    similarity = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(np.argmin(similarity)))
        similarity = np.maximum(similarity, vectors @ vectors[chosen[-1]])
    return vectors[chosen]
