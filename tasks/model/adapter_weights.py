"""The weights that an adapter produces: rows in float32, whatever the source of the base's rows.

Work is done in blocks of rows, so memory does not depend on the size of a weight.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tasks.model.tensor_files import StoredTensor, read_float

# rows first..last-1 of a weight, float32, in memory that the caller may change
FloatRows = Callable[[int, int], torch.Tensor]


@dataclass(frozen=True)
class LoraPair:
    """The LoRA matrices of one weight, and DoRA's magnitude of each output row.

    layer       a (rank, inputs), for a convolution (rank, inputs, height, width); b (outputs, rank[, 1, 1])
    embedding   of shape (tokens, width): a (rank, tokens); b (width, rank)
    magnitude   (outputs,), for a convolution (1, outputs, 1, 1)
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
        """The shape of the weight."""
        if self.embedding:
            return (*self.a.shape[1:], *self.b.shape[:-1])
        return (self.b.shape[0], *self.a.shape[1:])

    @property
    def parts(self) -> list[StoredTensor]:
        """All trained tensors."""
        return [self.a, self.b, *([self.magnitude] if self.magnitude else [])]

    @property
    def zero_at_start(self) -> StoredTensor:
        """The matrix that is zero before training."""
        return self.a if self.embedding else self.b

    def added_to(self, base: FloatRows) -> FloatRows:
        """Rows of W + scale * B @ A; with a magnitude (DoRA, arXiv 2402.09353) each row is scaled to that norm."""
        if self.embedding:
            left, right = read_float(self.a).t().contiguous(), read_float(self.b).t().contiguous()
        else:
            left, right = read_float(self.b).flatten(1), read_float(self.a).flatten(1)
        norms = read_float(self.magnitude).flatten() if self.magnitude else None

        def rows(first: int, last: int) -> torch.Tensor:
            weight = base(first, last)
            flat = weight.view(len(weight), -1)
            flat.add_(product(left[first:last], right), alpha=self.scale)
            if norms is not None:
                flat.mul_((norms[first:last] / torch.linalg.vector_norm(flat, dim=1))[:, None])
            return weight

        return rows


def product(b: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """B @ A in float32, (outputs, rank) times (rank, inputs), with the fastest library for the CPU."""
    if not torch.backends.mkldnn.is_available():
        return b @ a
    # torch multiplies float32 with MKL, which does not use AMD's AVX-512; oneDNN, which torch includes, does
    result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(b, a.t(), None, "none", [], "")
    return result


@dataclass(frozen=True)
class TokenRows:
    """Trained rows of an embedding or a head: `values` (rows, width) replace the base's rows with these numbers."""

    numbers: tuple[int, ...]
    values: StoredTensor

    @property
    def width(self) -> int:
        return self.values.shape[1]

    def put_into(self, base: FloatRows) -> FloatRows:
        """The base's rows with the trained ones replaced."""
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
