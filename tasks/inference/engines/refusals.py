"""One message for all that could not be asked: named by record and counted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tasks.errors import DataError
from tasks.inference.engines.base import Refusal

NAMED = 50


def refusals_error(records: Sequence[dict[str, Any]], refusals: Sequence[Refusal], answered: int) -> DataError:
    """The error that ends a run with refusals; all other questions have been answered by then."""
    reasons = Counter((refusal.record, refusal.reason) for refusal in sorted(refusals, key=_place))
    lines = [
        f"  record {records[index].get('id', f'number {index + 1}')}: {reason}" + (f" ({count}x)" if count > 1 else "")
        for (index, reason), count in reasons.items()
    ]
    more = [f"  and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    head = (
        f"{len(refusals)} questions of {len({refusal.record for refusal in refusals})} records could not be asked. "
        f"The {answered} others are answered and kept; mend these and run the same command again:"
    )
    return DataError("\n".join([head, *lines[:NAMED], *more]))


def _place(refusal: Refusal) -> tuple[int, int]:
    return refusal.record, refusal.turn
