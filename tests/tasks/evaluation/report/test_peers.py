"""Published scores are shown next to ours, with the reasons why they are not comparable."""

from typing import Any

import pytest

from tasks.evaluation.report.peers import COLUMNS, peer_tables, reasons_against


def scores(images: int) -> Any:
    captions = dict.fromkeys(COLUMNS["captioning"], 0.5) | {"images": images}
    types = {"presence": 0.9, "comparison": 0.8, "rural_urban": 0.7, "count": 0.1}
    questions = {"images": images, "by_type": {name: {"accuracy": value} for name, value in types.items()}}
    return {"captioning": {"RSICD": captions, "NWPU": captions}, "vqa": {"LR": questions}}


def test_sources_with_published_scores_have_a_table_in_percent() -> None:
    tables = peer_tables(scores(100))
    assert [table["source"] for table in tables] == ["RSICD", "LR"]
    assert tables[0]["ours"]["CIDEr"] == 50
    # the published averages leave counts out
    assert tables[1]["ours"]["average"] == pytest.approx(80)
    assert all(table["from"] and len(table["rows"]) > 4 for table in tables)


def test_differing_and_unknown_parts_of_the_protocol_are_reasons() -> None:
    assert "1,093 test images there, 100 here" in peer_tables(scores(100))[0]["reasons"]
    assert reasons_against({"test_images": 100, "scorer": "ours"}, 100) == []
    assert len(reasons_against({"test_images": None, "scorer": None}, 100)) == 2
