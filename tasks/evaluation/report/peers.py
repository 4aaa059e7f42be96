"""Published scores of other models next to ours, each with its paper, its protocol and the doubts about it."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from tasks.evaluation.scores import CaptionScores, Scores, SourceScores, VqaScores, metric_value

FILE = "peers.json"
# papers print scores times 100; ours are fractions
PERCENT = 100
# columns and their headings
COLUMNS = {
    "captioning": {
        name: name for name in ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr")
    },
    "vqa": {
        "presence": "presence",
        "comparison": "comparison",
        "rural_urban": "rural or urban",
        "average": "AA without counts",
        "overall": "OA without counts",
        "total": "AA or OA without counts",
        "average_counts": "AA with counts",
        "overall_counts": "OA with counts",
        "average_binned": "AA, counts by bin",
        "overall_binned": "OA, counts by bin",
    },
}  # fmt: skip
# our scores of these columns
KEYS = {
    "overall": "accuracy_without_counts",
    "average_counts": "average_accuracy",
    "overall_counts": "accuracy",
    "average_binned": "average_accuracy_binned",
    "overall_binned": "accuracy_binned",
}
# the published averages over types leave counts out
AVERAGED = ("presence", "comparison", "rural_urban")


def peer_tables(scores: Scores) -> list[dict[str, object]]:
    """For each source with published scores: columns, our row and the peers' rows as fractions, and the reasons why
    they are not comparable; no reasons mean that the known parts of the protocols agree.
    """
    published = json.loads(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))
    ours = {
        "captioning": {source: _captions(found) for source, found in scores["captioning"].items()},
        "vqa": {source: _types(found) for source, found in scores["vqa"].items()},
    }
    return [
        {
            "source": source,
            "columns": {
                key: name for key, name in columns.items() if any(key in row["scores"] for row in table["rows"])
            },
            "ours": ours[task][source].scores,
            "rows": [_as_fractions(row) for row in table["rows"]],
            "reasons": reasons_against(table["protocol"], ours[task][source].images),
        }
        for task, columns in COLUMNS.items()
        for source, tables in published[task].items()
        if source in ours[task]
        for table in tables
    ]


class _Ours(NamedTuple):
    scores: dict[str, float]
    images: int


def _as_fractions(row: Mapping[str, object]) -> dict[str, object]:
    scores = row["scores"]
    assert isinstance(scores, dict)
    return {**row, "scores": {name: value / PERCENT for name, value in scores.items()}}


def _captions(scores: CaptionScores) -> _Ours:
    return _Ours(_known(scores, {name: name for name in COLUMNS["captioning"]}), scores["images"])


def _types(scores: VqaScores) -> _Ours:
    types = {name: found["accuracy"] for name, found in scores["by_type"].items() if name in AVERAGED}
    average = {"average": mean(types.values())} if len(types) == len(AVERAGED) else {}
    return _Ours(types | average | _known(scores, KEYS), scores["images"])


def _known(scores: SourceScores, keys: Mapping[str, str]) -> dict[str, float]:
    values = {column: metric_value(scores, key) for column, key in keys.items()}
    return {column: value for column, value in values.items() if value is not None}


def reasons_against(protocol: Mapping[str, object], images: int) -> list[str]:
    """Why scores under a published protocol are not comparable with ours on so many test images.

    Unknown parts of the protocol are reasons, too.
    """
    reasons = []
    published = protocol["test_images"]
    if published is None:
        reasons.append("their test images are not known")
    elif published != images:
        reasons.append(f"{published:,} test images there, {images:,} here")
    if protocol["scorer"] is None:
        reasons.append("their scorer (tokens, matching of answers) is not published")
    return reasons
