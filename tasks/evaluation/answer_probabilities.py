"""The probabilities of a model's answers, which `rsvlm predict` writes next to final.json."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tasks.errors import DataError
from tasks.evaluation.pairing import PairedRecord
from tasks.files import read_json, sha256_of
from tasks.paths import PROBABILITIES

# index of the record in the test set, and number of the question in the record
Probabilities = Mapping[tuple[int, int], float]


def read_probabilities(predictions: Path) -> Probabilities:
    """The probability of each answer of a predictions file; empty if none are known.

    A file of probabilities is used only for exactly the answers that it was written with. Raises DataError if it is
    damaged.
    """
    path = predictions.with_name(PROBABILITIES)
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
        if found["answers_sha256"] != sha256_of(predictions):
            return {}
        known = {(int(row["record"]), int(row["turn"])): float(row["probability"]) for row in found["probabilities"]}
        # neither NaN nor infinity is in it
        if all(0 <= probability <= 1 for probability in known.values()):
            return known
        raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise DataError(f"{path} holds no probabilities: answer the test set again, or remove it.") from None


def add_probabilities(records: list[PairedRecord], known: Probabilities) -> list[PairedRecord]:
    """The records with the probabilities of their answers."""
    return [_with_probabilities(record, known) for record in records] if known else records


def _with_probabilities(record: PairedRecord, known: Probabilities) -> PairedRecord:
    turns = (replace(turn, probability=known.get((record.index, turn.number))) for turn in record.turns)
    return replace(record, turns=tuple(turns))
