"""Which records stay: those of the sources asked for whose image and answers can be used; every loss is counted."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tasks.data.records_file import Record, counted_by_source
from tasks.errors import DataError
from tasks.record_faults import image_fault, role_fault
from tasks.sources import UNNAMED, source_of

UNANSWERED = "no answer to learn from"
OF_SOURCE = "source"
# in the place of sources: whatever they are
ALL = ("all",)


@dataclass(frozen=True)
class Filtered:
    """The records that stay, in order, and how many were dropped for which reason."""

    records: list[Record]
    dropped: dict[str, int]


def filter_records(
    records: Sequence[Record],
    sources: Collection[str],
    faults: Mapping[str, str] | None = None,
    unnamed: str = UNNAMED,
) -> Filtered:
    """Keep the records of the asked sources that have an answer and one image inside the image folder.

    `faults` says by image path why an image that was looked at cannot be used.
    """
    kept: list[Record] = []
    dropped: Counter[str] = Counter()
    for record in records:
        reason = reason_to_drop(record, sources, unnamed) or (faults or {}).get(record["image"])
        if reason:
            dropped[reason] += 1
        else:
            kept.append(record)
    return Filtered(kept, dict(dropped))


def reason_to_drop(record: Record, sources: Collection[str], unnamed: str = UNNAMED) -> str | None:
    """Why a record does not stay, by what stands in it, or None."""
    if fault := image_fault(record):
        return fault.reason
    if (source := source_of(record["image"], unnamed)) not in sources and tuple(sources) != ALL:
        return f"{OF_SOURCE} {source} not selected"
    if any(turn["from"] == "gpt" and turn["value"].strip() for turn in record["conversations"]):
        return None
    # it may be answered by a role of another name
    fault = role_fault(record)
    return fault.reason if fault else UNANSWERED


def require_sources(
    records: Sequence[Record], sources: Collection[str], dropped: Mapping[str, int], unnamed: str = UNNAMED
) -> None:
    """Raise DataError when a source that was asked for has no record left."""
    left = counted_by_source(records, unnamed)
    if missing := [source for source in sources if source not in left]:
        reasons = "; ".join(f"{reason}: {number}" for reason, number in dropped.items()) or "none was dropped"
        raise DataError(
            f"No record of {', '.join(missing)} is left ({reasons}): check the data folder, or choose other sources "
            "with --sources (data.sources in an experiment)."
        )
