"""Scores, intervals and gains recomputed in plain Python from their definitions, without any code of the project.

Slow and simple on purpose: loops instead of linear algebra, bisection instead of closed forms.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from scipy.special import betaln, stdtr, stdtrit

Vector = tuple[list[dict[tuple[str, ...], float]], int]


class PlainCider:
    """CIDEr-D (Vedantam et al. 2015) with the document frequency of `documents`, the references of each image."""

    def __init__(self, documents: Sequence[Sequence[str]]):
        self.frequency = Counter(gram for texts in documents for gram in set().union(*map(grams, texts)))
        self.documents = len(documents)

    def vector(self, text: str) -> Vector:
        weights: list[dict[tuple[str, ...], float]] = [{}, {}, {}, {}]
        for gram, count in grams(text).items():
            idf = math.log(self.documents) - math.log(max(1, self.frequency[gram]))
            weights[len(gram) - 1][gram] = count * idf
        return weights, max(0, len(text.split()) - 1)

    def of(self, answer: Vector, reference: Vector) -> float:
        total = 0.0
        for ours, theirs in zip(answer[0], reference[0], strict=True):
            norm = math.sqrt(sum(v * v for v in ours.values())) * math.sqrt(sum(v * v for v in theirs.values()))
            if norm:
                total += (
                    sum(min(value, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, value in ours.items())
                    / norm
                )
        return 10 * total / 4 * math.exp(-((answer[1] - reference[1]) ** 2) / 72)

    def mean(self, answer: str, references: Sequence[str]) -> float:
        return sum(self.of(self.vector(answer), self.vector(text)) for text in references) / len(references)

    def consensus(self, texts: Sequence[str]) -> str:
        """The text that is closest to the others; the first in the alphabet among equals."""
        vectors = [self.vector(text) for text in texts]
        closeness = [
            sum(self.of(one, other) for j, other in enumerate(vectors) if j != i) / (len(texts) - 1)
            for i, one in enumerate(vectors)
        ]
        return min((-round(value, 9), text) for value, text in zip(closeness, texts, strict=True))[1]


def grams(text: str) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(tuple(words[i : i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004) of pycocoevalcap: the best precision and the best recall over the references, beta 1.2."""
    words = answer.split(" ")
    common = [_longest_common(words, text.split(" ")) for text in references]
    precision = max(length / len(words) for length in common)
    recall = max(length / len(text.split(" ")) for length, text in zip(common, references, strict=True))
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision) if precision and recall else 0.0


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, word in enumerate(one):
        for j, match in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if word == match else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def bleu_4(answers: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """BLEU-4 over a corpus, closest reference length."""
    hits, guesses, length, closest = [0] * 4, [0] * 4, 0, 0
    for answer, texts in zip(answers, references, strict=True):
        size = len(answer.split())
        length += size
        closest += min((abs(len(text.split()) - size), len(text.split())) for text in texts)[1]
        most: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            most |= grams(text)
        for gram, count in grams(answer).items():
            guesses[len(gram) - 1] += count
            hits[len(gram) - 1] += min(count, most[gram])
    product = math.prod(hit / guess for hit, guess in zip(hits, guesses, strict=True))
    return product**0.25 * (1.0 if length >= closest else math.exp(1 - closest / length))


def leave_one_out(score: Callable[[Sequence[int]], float], images: int) -> list[float]:
    """Jackknife pseudo-values of a score of image numbers."""
    every = list(range(images))
    whole = score(every)
    return [images * whole - (images - 1) * score([each for each in every if each != left]) for left in every]


def moments(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, its standard error, and the adjusted skewness."""
    n, mean = len(values), math.fsum(values) / len(values)
    second = math.fsum((value - mean) ** 2 for value in values) / n
    third = math.fsum((value - mean) ** 3 for value in values) / n
    return mean, math.sqrt(second / (n - 1)), third / second**1.5 * math.sqrt(n * (n - 1)) / (n - 2)


def _corrected(t: float, skewness: float) -> float:
    return t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def interval_of_scores(values: Sequence[float], prior: bool, low: float, high: float) -> list[float]:
    """Student's t joined with the inverse of Hall's correction; `prior` adds seven images with a skewness of 1.5."""
    n = len(values)
    mean, error, skewness = moments(values)
    skewness = (n * skewness + 7 * 1.5) / (n + 7) if prior else skewness * (1 + 3 / n)
    of_mean, quantile = skewness / math.sqrt(n), float(stdtrit(n - 1, 0.975))
    upper = _root(lambda t: _corrected(t, of_mean) - quantile, -1e4, 1e4)
    lower = _root(lambda t: _corrected(t, of_mean) + quantile, -1e4, 1e4)
    return [max(low, mean - error * max(quantile, upper)), min(high, mean - error * min(-quantile, lower))]


def interval_of_accuracy(right: Sequence[int], asked: Sequence[int]) -> list[float]:
    """Wilson's interval with the greatest of three design effects, for an accuracy that is neither 0 nor 1."""
    n, total, share = len(asked), sum(asked), sum(right) / sum(asked)
    normal = 1.959963984540054**2
    values = leave_one_out(lambda ids: sum(right[i] for i in ids) / sum(asked[i] for i in ids), n)
    spread = sum((value - sum(values) / n) ** 2 for value in values) / n / (n - 1)
    by_images = float(stdtrit(n - 1, 0.975)) ** 2 * spread / (share * (1 - share) / total)
    weight = sum(count**2 for count in asked) / total - 1
    squared = max(normal, by_images, normal * (1 + weight * _correlation(right, asked)))

    # Wilson's ends solve (share - p)^2 = squared p (1 - p) / total
    def distance(p: float) -> float:
        return (share - p) ** 2 - squared * p * (1 - p) / total

    return [_root(lambda p: -distance(p), 0, share), _root(distance, share, 1)]


def _correlation(right: Sequence[int], asked: Sequence[int]) -> float:
    """The posterior mean of the intra-image correlation on the documented grid."""
    grid = [0.002, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97]
    shares = [math.sin((i + 0.5) / 80 * math.pi / 2) ** 2 for i in range(80)]
    widths = [grid[1] - grid[0], *((b - a) / 2 for a, b in zip(grid, grid[2:], strict=False)), grid[-1] - grid[-2]]
    # numpy's gradient over numbers of the grid
    logs = []
    for rho, width in zip(grid, widths, strict=True):
        for share in shares:
            alpha, beta = share * (1 - rho) / rho, (1 - share) * (1 - rho) / rho
            fits = (betaln(y + alpha, m - y + beta) - betaln(alpha, beta) for y, m in zip(right, asked, strict=True))
            logs.append((rho, math.fsum(map(float, fits)) + math.log(width / math.sqrt(rho))))
    top = max(value for _, value in logs)
    weights = [(rho, math.exp(value - top)) for rho, value in logs]
    return sum(rho * weight for rho, weight in weights) / sum(weight for _, weight in weights)


def paired(values: Sequence[float]) -> tuple[float, list[float], float, float]:
    """Mean, 95 % interval, p-value of a gain and two-sided p-value; the interval by inverting the test."""
    n = len(values)
    mean, error, skewness = moments(values)
    skewness *= 1 + 3 / n

    def side(difference: float, sign: int) -> float:
        t = (mean - difference) / error
        adverse = (n * skewness - sign * 5 * 1.5) / (n + 5)
        tails = (stdtr(n - 1, -sign * _corrected(t, each / math.sqrt(n))) for each in (0, skewness, adverse))
        return max(2.0**-n, *map(float, tails))

    # the side's p-value rises with the difference that is tested for a gain, and falls for a loss
    low = _root(lambda difference: side(difference, 1) - 0.025, mean - 1e3 * error, mean)
    high = _root(lambda difference: 0.025 - side(difference, -1), mean, mean + 1e3 * error)
    return mean, [low, high], side(0, 1), min(1.0, 2 * min(side(0, 1), side(0, -1)))
