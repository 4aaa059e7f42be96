"""Published figures stand beside ours with their protocol, and say where they may not be compared."""

from typing import Any

import pytest

from tasks.evaluation.report.peers import COLUMNS, peer_tables, reasons_against


def scores(images: int) -> dict[str, Any]:
    captions = dict.fromkeys(COLUMNS["captioning"], 0.5) | {"images": images}
    types = {"presence": 0.9, "comparison": 0.8, "rural_urban": 0.7, "count": 0.1}
    questions = {"images": images, "by_type": {name: {"accuracy": value} for name, value in types.items()}}
    return {"captioning": {"RSICD": captions, "NWPU": captions}, "vqa": {"LR": questions}}


def test_sources_with_published_figures_have_a_table_in_percent() -> None:
    tables = peer_tables(scores(100))
    assert [table["source"] for table in tables] == ["RSICD", "LR"]
    assert tables[0]["ours"]["CIDEr"] == 50
    # counts are in none of the published averages
    assert tables[1]["ours"]["average"] == pytest.approx(80)
    assert all(table["from"] and len(table["rows"]) > 4 for table in tables)


def test_what_differs_or_is_not_known_is_a_reason_not_to_compare() -> None:
    assert "1,093 test images there, 100 here" in peer_tables(scores(100))[0]["reasons"]
    assert reasons_against({"test_images": 100, "scorer": "ours"}, {"images": 100}) == []
    assert len(reasons_against({"test_images": None, "scorer": None}, {"images": 100})) == 2
