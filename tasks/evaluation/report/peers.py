"""Published figures of other models beside ours, each with where it stands and why it may not be compared."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

FILE = "peers.json"
PERCENT = 100
COLUMNS = {
    "captioning": ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr"),
    "vqa": ("presence", "comparison", "rural_urban", "average"),
}
# the published average over types leaves counts out
AVERAGED = ("presence", "comparison", "rural_urban")


def peer_tables(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each source with published figures: columns, our own row and the peers' (in percent), and the reasons why
    they are not comparable; no reason means that all that is known of the protocols agrees.
    """
    published = json.loads(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))
    return [
        {
            "source": source,
            "from": peers["from"],
            "columns": [name for name in columns if any(name in row["scores"] for row in peers["rows"])],
            "ours": _ours(task, scores[task][source]),
            "rows": peers["rows"],
            "reasons": reasons_against(peers["protocol"], scores[task][source]),
        }
        for task, columns in COLUMNS.items()
        for source, peers in published[task].items()
        if source in scores[task]
    ]


def _ours(task: str, scores: Mapping[str, Any]) -> dict[str, float]:
    if task == "captioning":
        return {name: PERCENT * scores[name] for name in COLUMNS[task] if scores[name] is not None}
    types = {name: PERCENT * found["accuracy"] for name, found in scores["by_type"].items() if name in AVERAGED}
    return types | ({"average": mean(types.values())} if len(types) == len(AVERAGED) else {})


def reasons_against(protocol: Mapping[str, Any], scores: Mapping[str, Any]) -> list[str]:
    """Why scores under a published protocol may not be held against ours; what is not known of it is a reason."""
    reasons = []
    images = protocol["test_images"]
    if images is None:
        reasons.append("their test images are not known")
    elif images != scores["images"]:
        reasons.append(f"{images:,} test images there, {scores['images']:,} here")
    if protocol["scorer"] is None:
        reasons.append("their scorer (tokens, matching of answers) is not published")
    return reasons
