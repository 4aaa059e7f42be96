"""What an adapter makes of a weight: rows of it in fp32, wherever the base's come from.

All is done by rows, so that a few blocks are in memory, whatever the weight's size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tasks.model.products import product
from tasks.model.tensor_files import StoredTensor, read_float

# rows of a weight from the first to before the last, in fp32 and the caller's own
FloatRows = Callable[[int, int], torch.Tensor]


@dataclass(frozen=True)
class LoraPair:
    """The matrices of one weight, and DoRA's length of each output's row.

    Of a layer A is rank x inputs (of a convolution also x height x width) and B outputs x rank; of an embedding, which
    is tokens x width, A is rank x tokens and B width x rank.
    """

    a: StoredTensor
    b: StoredTensor
    scale: float
    magnitude: StoredTensor | None = None
    embedding: bool = False

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the weight."""
        if self.embedding:
            return (*self.a.shape[1:], *self.b.shape[:-1])
        return (self.b.shape[0], *self.a.shape[1:])

    @property
    def parts(self) -> list[StoredTensor]:
        """All that was trained."""
        return [self.a, self.b, *([self.magnitude] if self.magnitude else [])]

    @property
    def grown(self) -> StoredTensor:
        """The matrix that is zero before training."""
        return self.a if self.embedding else self.b

    def added_to(self, base: FloatRows) -> FloatRows:
        """W + scale * B @ A; with a magnitude (DoRA, arXiv 2402.09353) each row is brought to that length."""
        if self.embedding:
            left, right = read_float(self.a).t().contiguous(), read_float(self.b).t().contiguous()
        else:
            left, right = read_float(self.b).flatten(1), read_float(self.a).flatten(1)
        lengths = read_float(self.magnitude).flatten() if self.magnitude else None

        def rows(first: int, last: int) -> torch.Tensor:
            weight = base(first, last)
            flat = weight.view(len(weight), -1)
            flat.add_(product(left[first:last], right), alpha=self.scale)
            if lengths is not None:
                flat.mul_((lengths[first:last] / torch.linalg.vector_norm(flat, dim=1))[:, None])
            return weight

        return rows


@dataclass(frozen=True)
class TokenRows:
    """Rows of an embedding or a head that were trained, each in the place of the base's of that number."""

    numbers: tuple[int, ...]
    values: StoredTensor

    @property
    def width(self) -> int:
        return self.values.shape[1]

    def put_into(self, base: FloatRows) -> FloatRows:
        """The base's rows, those that were trained replaced."""
        values = read_float(self.values)

        def rows(first: int, last: int) -> torch.Tensor:
            weight = base(first, last)
            for number, value in zip(self.numbers, values, strict=True):
                if first <= number < last:
                    weight[number - first] = value
            return weight

        return rows


def stored_rows(tensor: StoredTensor) -> FloatRows:
    """The rows of a tensor in a file."""
    return lambda first, last: read_float(tensor, first, last)
