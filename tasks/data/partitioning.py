"""Divide groups of records into parts of given sizes without cutting a group."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

Groups = Mapping[str, Sequence[int]]


def divide(groups: Groups, targets: Sequence[int], seed: str) -> list[list[int]]:
    """Divide groups into one part per target size; each part is as close to its target as the group sizes allow.

    Returns the record indices of each part. The order of the groups does not matter: names are ranked by a hash that is
    the same on every machine.
    """
    parts: list[list[str]] = [[] for _ in targets]
    filled = [0] * len(targets)
    # Large groups first, while there is room, each to the part that is filled least:
    # otherwise images with many records would collect in one part.
    for name in sorted(groups, key=lambda name: (-len(groups[name]), _rank(name, seed))):
        part = _emptiest(filled, targets, len(groups[name]))
        parts[part].append(name)
        filled[part] += len(groups[name])
    _settle(parts, filled, targets, groups)
    return [[index for name in part for index in groups[name]] for part in parts]


def smallest(groups: Groups, seed: str) -> list[int]:
    """The record indices of the smallest group, for a share that is less than any group but must not be empty."""
    return list(groups[min(groups, key=lambda name: (len(groups[name]), _rank(name, seed)))])


def _rank(name: str, seed: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _emptiest(filled: Sequence[int], targets: Sequence[int], size: int) -> int:
    fitting = [part for part, target in enumerate(targets) if filled[part] + size <= target]
    if fitting:
        return min(fitting, key=lambda part: ((filled[part] + size) / targets[part], part))
    return max(range(len(targets)), key=lambda part: (targets[part] - filled[part], -part))


def _settle(parts: list[list[str]], filled: list[int], targets: Sequence[int], groups: Groups) -> None:
    """Move or swap groups for as long as that brings the parts closer to their targets."""
    while change := next(_improvements(parts, filled, targets, groups), None):
        giver, taker, given, taken = change
        parts[giver].remove(given)
        parts[taker].append(given)
        shift = len(groups[given])
        if taken is not None:
            parts[taker].remove(taken)
            parts[giver].append(taken)
            shift -= len(groups[taken])
        filled[giver] -= shift
        filled[taker] += shift


def _improvements(
    parts: list[list[str]], filled: Sequence[int], targets: Sequence[int], groups: Groups
) -> Iterator[tuple[int, int, str, str | None]]:
    excess = [have - target for have, target in zip(filled, targets, strict=True)]
    for giver in range(len(parts)):
        for taker in range(len(parts)):
            # only from a part above its target to one below
            if excess[giver] <= 0 or excess[taker] >= 0:
                continue
            before = excess[giver] ** 2 + excess[taker] ** 2
            for given, taken, shift in _shifts(parts[giver], parts[taker], groups):
                if (excess[giver] - shift) ** 2 + (excess[taker] + shift) ** 2 < before:
                    yield giver, taker, given, taken


def _shifts(giving: Sequence[str], taking: Sequence[str], groups: Groups) -> Iterator[tuple[str, str | None, int]]:
    # one name of each size represents all groups of that size
    given_by_size = {len(groups[name]): name for name in giving}
    taken_by_size = {len(groups[name]): name for name in taking}
    for size, given in given_by_size.items():
        yield given, None, size
        for other, taken in taken_by_size.items():
            if other < size:
                yield given, taken, size - other
