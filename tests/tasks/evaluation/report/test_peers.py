"""Published scores are shown next to ours, with the reasons why they are not comparable."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.evaluation.report import peers
from tasks.evaluation.report.peers import COLUMNS, peer_tables, reasons_against


def scores(images: int) -> Any:
    captions = dict.fromkeys(COLUMNS["captioning"], 0.5) | {"images": images}
    types = {"presence": 0.9, "comparison": 0.8, "rural_urban": 0.7, "count": 0.1}
    by_type = {name: {"accuracy": value} for name, value in types.items()}
    questions = {"images": images, "by_type": by_type, "average_accuracy_binned": 0.6}
    return {"captioning": {"RSICD": captions, "NWPU": captions}, "vqa": {"LR": questions}}


def test_sources_with_published_scores_have_tables_of_fractions() -> None:
    tables: Any = peer_tables(scores(100))
    assert [table["source"] for table in tables] == ["RSICD", "NWPU", "LR", "LR"]
    assert tables[0]["ours"]["CIDEr"] == 0.5
    # the published averages leave counts out
    assert tables[2]["ours"]["average"] == pytest.approx(0.8)
    assert tables[3]["ours"]["average_binned"] == 0.6
    by_model = {row["model"]: row for row in tables[0]["rows"]}
    assert by_model["SAA"]["scores"]["CIDEr"] == pytest.approx(1.3235)
    assert list(tables[3]["columns"]) == ["average_counts", "overall_counts", "average_binned", "overall_binned"]


def test_every_row_has_a_paper_and_says_what_is_known_of_its_protocol() -> None:
    published = json.loads((Path(peers.__file__).parent / peers.FILE).read_text())
    rows = [row for task in COLUMNS for tables in published[task].values() for table in tables for row in table["rows"]]
    assert all(row["paper"] and "protocol" in row for row in rows)
    assert {name for row in rows for name in row["scores"]} <= {
        name for columns in COLUMNS.values() for name in columns
    }
    # nothing is printed twice under one name without its paper
    assert len({(row["model"], row["paper"], *row["scores"].values()) for row in rows}) == len(rows)


def test_differing_and_unknown_parts_of_the_protocol_are_reasons() -> None:
    assert "1,093 test images there, 100 here" in peer_tables(scores(100))[0]["reasons"]
    assert reasons_against({"test_images": 100, "scorer": "ours"}, 100) == []
    assert len(reasons_against({"test_images": None, "scorer": None}, 100)) == 2
