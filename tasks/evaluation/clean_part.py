"""The clean part of a test set: records whose images have no near-duplicate in training according to an audit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import DataError
from tasks.evaluation.pairing import PairedRecord
from tasks.files import read_json
from tasks.paths import AUDIT


@dataclass(frozen=True)
class Audit:
    """The findings of `rsvlm data audit` on the images of a test set."""

    path: Path
    clean: frozenset[str]
    leaking: frozenset[str]


def audit_file_of(path: Path) -> Path:
    """The audit.json of an audit, given by itself or by its folder."""
    return path / AUDIT if path.is_dir() else path


def read_audit(path: Path) -> Audit:
    """Read an audit's report, given as a file or its folder; raises DataError if it covers no test set."""
    path = audit_file_of(path)
    try:
        found = read_json(path)["test_images"]
        return Audit(path, frozenset(found["clean_images"]), frozenset(found["leaking"]))
    except (KeyError, TypeError):
        raise DataError(
            f"{path} lists no clean test images: give the folder that rsvlm data audit wrote with --sets."
        ) from None


def keep_clean(records: Sequence[PairedRecord], audit: Audit) -> list[PairedRecord]:
    """The records whose images are clean; raises DataError for an image that the audit does not cover."""
    for record in records:
        if record.image not in audit.clean and record.image not in audit.leaking:
            raise DataError(
                f"{audit.path} does not cover the test image {record.image}: audit the sets that were answered."
            )
    return [record for record in records if record.image in audit.clean]


def require_clean(records: Sequence[PairedRecord], audit: Audit) -> list[PairedRecord]:
    """The records whose images are clean; raises DataError also where there are none."""
    kept = keep_clean(records, audit)
    if not kept:
        raise DataError(f"{audit.path} found no clean test image: there is nothing to score.")
    return kept
