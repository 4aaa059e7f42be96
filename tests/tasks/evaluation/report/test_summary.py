"""The report in brief."""

from typing import Any
from xml.etree import ElementTree

from tasks.evaluation.report.summary import draw_summary, summary_markdown, summary_rows

METRICS: Any = {
    "protocol": {"fingerprint": "ab" * 32, "test_set": {"records": 10}},
    "captioning": {},
    "vqa": {
        "LR": {
            "images": 10,
            "accuracy": 0.75,
            "ci95": {"accuracy": [0.6, 0.9]},
            "gain": {
                "baseline": "question_only",
                "value": 0.2,
                "ci95": [0.1, 0.3],
                "p": 0.01,
                "p_adjusted": 0.01,
                "shown": True,
            },
            "controls": {"majority": 0.5, "question_only": 0.55, "shuffled_images": None},
        }
    },
}


def test_the_summary_begins_with_the_gain() -> None:
    [row] = summary_rows(METRICS)
    assert (row["source"], row["gain"], row["gain shown"]) == ("LR", 0.2, "yes")
    verdict = summary_markdown("final of x", METRICS).split("\n")[2]
    assert verdict == "**Gain over image-blind baselines: shown on 1 of 1 sources.**"
    assert ElementTree.fromstring(draw_summary("final", METRICS)).tag.endswith("svg")
