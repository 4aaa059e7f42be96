"""The clean part of a test set: records whose images, by an audit, show nothing that stands in training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import DataError
from tasks.evaluation.pairing import PairedRecord
from tasks.files import read_json
from tasks.paths import AUDIT


@dataclass(frozen=True)
class Audit:
    """What `rsvlm data audit` found of the images of a test set."""

    path: Path
    clean: frozenset[str]
    leaking: frozenset[str]


def audit_file_of(place: Path) -> Path:
    """The report of an audit, given as itself or by its folder."""
    return place / AUDIT if place.is_dir() else place


def read_audit(place: Path) -> Audit:
    """Read the report of an audit; raises DataError where it is none or did not look at a test set."""
    path = audit_file_of(place)
    try:
        found = read_json(path)["test_images"]
        return Audit(path, frozenset(found["clean_images"]), frozenset(found["leaking"]))
    except (KeyError, TypeError):
        raise DataError(
            f"{path} says nothing of clean test images: give the folder that rsvlm data audit wrote with --sets."
        ) from None


def keep_clean(records: Sequence[PairedRecord], audit: Audit) -> list[PairedRecord]:
    """The records whose images are clean.

    Raises DataError for an image that the audit does not know.
    """
    for record in records:
        if record.image not in audit.clean and record.image not in audit.leaking:
            raise DataError(
                f"{audit.path} does not know the test image {record.image}: audit the sets that were answered."
            )
    return [record for record in records if record.image in audit.clean]


def require_clean(records: Sequence[PairedRecord], audit: Audit) -> list[PairedRecord]:
    """The records whose images are clean; raises DataError also where none is left."""
    kept = keep_clean(records, audit)
    if not kept:
        raise DataError(f"By {audit.path} no test image is clean: there is nothing to score.")
    return kept
