"""Clusters of training captions, for images whose file name tells no scene class."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

MOST_WORDS = 1000
# as many as the scene classes of RSICD; small training sets have fewer
MOST_CLUSTERS = 30
IMAGES_A_CLUSTER = 10
ROUNDS = 15
CHUNK = 1024


class CaptionClusters:
    """Training images in clusters by the words of their captions, and the nearest cluster of other captions.

    k-means of unit tf-idf vectors over the thousand most frequent words, begun from images far from each other, so
    that nothing is drawn by chance. `members` are the images of each cluster; none is empty.
    """

    def __init__(self, training: Mapping[str, Sequence[str]]):
        images = sorted(training)
        frequency = Counter(word for image in images for word in _words(training[image]))
        kept = sorted(frequency, key=lambda word: (-frequency[word], word))[:MOST_WORDS]
        self._places = {word: place for place, word in enumerate(kept)}
        self._idf = np.log(len(images) / np.array([frequency[word] for word in kept], dtype=np.float32))
        vectors = self._vectors([training[image] for image in images])
        centres = _spread(vectors, min(MOST_CLUSTERS, max(1, len(images) // IMAGES_A_CLUSTER)))
        for _ in range(ROUNDS):
            belongs = np.argmax(vectors @ centres.T, axis=1)
            sums = np.zeros_like(centres)
            np.add.at(sums, belongs, vectors)
            centres = _unit(sums)
        belongs = np.argmax(vectors @ centres.T, axis=1)
        used = sorted(set(belongs.tolist()))
        self._centres = centres[used]
        self.members = [[image for image, own in zip(images, belongs, strict=True) if own == place] for place in used]

    def nearest(self, groups: Sequence[Sequence[str]]) -> list[int]:
        """The cluster that is nearest to each group of captions (the references of an image)."""
        places: list[int] = []
        for start in range(0, len(groups), CHUNK):
            places += np.argmax(self._vectors(groups[start : start + CHUNK]) @ self._centres.T, axis=1).tolist()
        return places

    def _vectors(self, groups: Sequence[Sequence[str]]) -> "np.ndarray":
        vectors = np.zeros((len(groups), len(self._places)), dtype=np.float32)
        for row, captions in enumerate(groups):
            columns = [self._places[word] for word in _words(captions) if word in self._places]
            vectors[row, columns] = self._idf[columns]
        return _unit(vectors)


def _words(captions: Sequence[str]) -> set[str]:
    return {word for caption in captions for word in caption.split()}


def _unit(vectors: "np.ndarray") -> "np.ndarray":
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: np.ndarray = vectors / np.where(lengths == 0, 1, lengths)
    return result


def _spread(vectors: "np.ndarray", count: int) -> "np.ndarray":
    """Vectors to begin from: the nearest to the mean, then ever the one that is least like those chosen."""
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    likest = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(np.argmin(likest)))
        likest = np.maximum(likest, vectors @ vectors[chosen[-1]])
    return vectors[chosen]
