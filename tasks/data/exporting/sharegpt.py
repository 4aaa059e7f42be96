"""LLaMA-Factory's ShareGPT layout: {"conversations": [{"from", "value"}], "images": [path]} and the record's fields."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.data.records_file import Counts, RecordsFile, encode_value, listed
from tasks.record_reader import iterate_records
from tasks.sources import source_of
from tasks.turn_tasks import amount


def write(dataset: Path, out: Path, inputs: Mapping[str, str], lost: Counter[str]) -> str:
    """Write one conversation per record; nothing is lost."""
    kept: Counter[str] = Counter()

    def lines() -> Iterator[bytes]:
        for record, _ in iterate_records(dataset):
            kept[source_of(record["image"])] += 1
            yield encode_value(_entry(record))

    RecordsFile(out, inputs, {"format": "sharegpt"}).write_pieces(listed(lines()), lambda: Counts(dict(kept), {}, lost))
    return amount(sum(kept.values()), "conversation")


def _entry(record: Mapping[str, object]) -> dict[str, object]:
    fields = {key: value for key, value in record.items() if key not in ("image", "images")}
    return {**fields, "images": [record["image"]]}
