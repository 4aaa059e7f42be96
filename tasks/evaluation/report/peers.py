"""Published scores of other models next to ours, each with its source and the reasons why it is not comparable."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from tasks.evaluation.scores import CaptionScores, Scores, VqaScores, metric_value

FILE = "peers.json"
PERCENT = 100
COLUMNS = {
    "captioning": ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
    "vqa": ("presence", "comparison", "rural_urban", "average"),
}
# the published averages over types leave counts out
AVERAGED = ("presence", "comparison", "rural_urban")


def peer_tables(scores: Scores) -> list[dict[str, object]]:
    """For each source with published scores: columns, our row and the peers' rows in percent, and the reasons why they
    are not comparable; no reasons mean that the known parts of the protocols agree.
    """
    published = json.loads(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))
    ours = {
        "captioning": {source: _captions(found) for source, found in scores["captioning"].items()},
        "vqa": {source: _types(found) for source, found in scores["vqa"].items()},
    }
    return [
        {
            "source": source,
            "from": peers["from"],
            "columns": [name for name in columns if any(name in row["scores"] for row in peers["rows"])],
            "ours": ours[task][source].percent,
            "rows": peers["rows"],
            "reasons": reasons_against(peers["protocol"], ours[task][source].images),
        }
        for task, columns in COLUMNS.items()
        for source, peers in published[task].items()
        if source in ours[task]
    ]


class _Ours(NamedTuple):
    percent: dict[str, float]
    images: int


def _captions(scores: CaptionScores) -> _Ours:
    values = {name: metric_value(scores, name) for name in COLUMNS["captioning"]}
    return _Ours({name: PERCENT * value for name, value in values.items() if value is not None}, scores["images"])


def _types(scores: VqaScores) -> _Ours:
    types = {name: PERCENT * found["accuracy"] for name, found in scores["by_type"].items() if name in AVERAGED}
    average = {"average": mean(types.values())} if len(types) == len(AVERAGED) else {}
    return _Ours(types | average, scores["images"])


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
